"""Tokens, vocabulary and token ids: two passes over the captions, and the words of all shards between them."""

import logging

from beam_jobs.command.errors import JobError
from beam_jobs.outputs.standing_product import begin_product
from beam_jobs.text.text_job import Made, TextJob, on_each_shard
from schemas.product_records import TEXT
from transforms.text.count_words import CountedWords, CountWords, merged_words
from transforms.text.shard_files import noted_files
from transforms.text.text_options import ALL
from transforms.text.tokenizers import KERAS
from transforms.text.vocabulary import WrittenVocabulary, write_vocabulary
from transforms.text.write_tokens import TOKENS_KIND, CountedIds, WriteTokens
from transforms.workers.worker_process import preload

_log = logging.getLogger("photobeam")


class NoCaptionsError(JobError):
    """The photos have no caption that is wanted."""


def make_tokens(job: TextJob) -> Made:
    """Writes vocabulary, tokens and ids.

    Raises:
        NoCaptionsError: there is no caption; what was there before stays.
        JobError: no word is left, as before. Or a step failed.
    """
    if job.options.tokenizer != KERAS:
        preload("nltk")  # Three seconds of CPU.
    of_job = (job.output, job.place.scratch, job.options, job.nltk_data)
    on_each_shard(job, "CountWords", CountWords(*of_job))
    with merged_words(job.place.scratch, job.shards, job.options, job.place.staging) as (counted, words):
        _check_counted(job, counted)
        begin_product(job.output, TEXT)
        vocabulary = write_vocabulary(words, job.options, job.output, job.place.scratch, job.place.staging)
    on_each_shard(job, "WriteTokens", WriteTokens(*of_job))
    files, counted_ids = noted_files(job.place.scratch, TOKENS_KIND, job.shards)
    ids = CountedIds(**counted_ids)
    _report(counted, vocabulary, ids)
    counts = {
        **counted.captions._asdict(),
        **ids._asdict(),
        "words": vocabulary.words,
        "words_left_out": counted.distinct - vocabulary.words,
        "tokens_left_out": counted.captions.tokens_counted - vocabulary.tokens,
    }
    return Made({**vocabulary.files, **files}, counts, {"vocabulary_of": counted.split})


def _check_counted(job: TextJob, counted: CountedWords) -> None:
    captions, options = counted.captions, job.options
    if not captions.captions:
        wanted = "such captions (--caption_source, --lemmas)" if captions.captions_left_out else "captions"
        raise NoCaptionsError(f"{job.output}: its {captions.photos:,} photos have no {wanted}")
    if not captions.tokens_counted and counted.split == ALL:
        raise NoCaptionsError(f"{job.output}: none of its {captions.captions:,} captions has a word")
    if not captions.tokens_counted:
        raise JobError(
            f"{job.output}: no caption of split {counted.split} has a word; choose another --vocabulary_split, or {ALL}"
        )
    if counted.most < options.min_count:
        raise JobError(
            f"--min_count {options.min_count}: the most frequent word is there {counted.most:,} times, so that none "
            "is left; choose a smaller one"
        )


def _report(counted: CountedWords, vocabulary: WrittenVocabulary, ids: CountedIds) -> None:
    captions = counted.captions
    words_of = "all captions" if counted.split == ALL else f"the captions of split {counted.split}"
    _log.info(
        "%s; %s; %s; %s",
        f"{captions.photos:,} photos, {captions.photos_without_captions:,} of them without captions",
        f"{captions.captions:,} captions, {captions.captions_left_out:,} left out",
        f"{vocabulary.words:,} words of {words_of} in the vocabulary, {counted.distinct - vocabulary.words:,} left out",
        f"{ids.tokens_unknown:,} of {ids.tokens:,} tokens are unknown, {ids.captions_empty:,} captions are empty, "
        f"{ids.captions_cut:,} were cut",
    )
