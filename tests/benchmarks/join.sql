-- The join of dataset, autotags, exif and places as photobeam makes it: nested, decoded, in order of
-- shard and photo id. {folder}, {output}, {shards}, {row_group} are filled in by bench_join.py.
CREATE MACRO mix(z, shift, factor) AS ((xor(z, z >> shift))::UHUGEINT * factor % 18446744073709551616::UHUGEINT)::UBIGINT;
CREATE MACRO unmixed(id) AS ((id::UHUGEINT + 11400714819323198485) % 18446744073709551616::UHUGEINT)::UBIGINT;
CREATE MACRO mixed(id) AS mix(mix(unmixed(id), 30, 13787848793156543929::UHUGEINT), 27, 10723151780598845931::UHUGEINT);
CREATE MACRO hash64(id) AS xor(mixed(id), mixed(id) >> 31);
CREATE MACRO decoded(text) AS url_decode(replace(text, '+', ' '));
CREATE MACRO items(text) AS coalesce(string_split(nullif(text, ''), ','), []::VARCHAR[]);
CREATE MACRO after_first(text, separator) AS substr(text, strpos(text, separator) + 1);
COPY (
    SELECT
        d.photo_id,
        'flickr' AS id_source,
        ['yfcc'] AS sources,
        d.line_number,
        d.hash,
        d.user_id,
        nullif(decoded(d.user_nickname), '') AS user_nickname,
        d.date_taken,
        epoch_ms(d.date_uploaded * 1000)::TIMESTAMP_MS AS date_uploaded,
        nullif(decoded(d.capture_device), '') AS capture_device,
        nullif(decoded(d.title), '') AS title,
        nullif(decoded(d.description), '') AS description,
        list_transform(items(d.user_tags), lambda t: decoded(t)) AS user_tags,
        list_transform(items(d.machine_tags), lambda t: decoded(t)) AS machine_tags,
        d.longitude,
        d.latitude,
        d.accuracy,
        nullif(d.page_url, '') AS page_url,
        nullif(d.download_url, '') AS download_url,
        nullif(d.license_name, '') AS license_name,
        nullif(d.license_url, '') AS license_url,
        d.server_id,
        d.farm_id,
        nullif(d.secret, '') AS secret,
        nullif(d.secret_original, '') AS secret_original,
        nullif(d.extension, '') AS extension,
        d.is_video = '1' AS is_video,
        list_transform(items(a.payload), lambda t: {
            'name': decoded(split_part(t, ':', 1)), 'score': split_part(t, ':', 2)::DOUBLE}) AS autotags,
        list_transform(items(e.payload), lambda t: {
            'tag': decoded(split_part(t, ':', 1)), 'value': decoded(after_first(t, ':'))}) AS exif,
        list_transform(items(p.payload), lambda t: {
            'woeid': split_part(t, ':', 1)::BIGINT, 'name': decoded(split_part(t, ':', 2)), 'type': decoded(split_part(t, ':', 3))
        }) AS places,
        []::VARCHAR[] AS warnings
    FROM read_csv('{folder}/yfcc100m_dataset', delim = '\t', header = false, quote = '', escape = '',
        auto_detect = false, max_line_size = 1048576, columns = {
        'line_number': 'BIGINT', 'photo_id': 'BIGINT', 'hash': 'VARCHAR', 'user_id': 'VARCHAR',
        'user_nickname': 'VARCHAR', 'date_taken': 'TIMESTAMP_MS', 'date_uploaded': 'BIGINT',
        'capture_device': 'VARCHAR', 'title': 'VARCHAR', 'description': 'VARCHAR', 'user_tags': 'VARCHAR',
        'machine_tags': 'VARCHAR', 'longitude': 'DOUBLE', 'latitude': 'DOUBLE', 'accuracy': 'INTEGER',
        'page_url': 'VARCHAR', 'download_url': 'VARCHAR', 'license_name': 'VARCHAR', 'license_url': 'VARCHAR',
        'server_id': 'INTEGER', 'farm_id': 'INTEGER', 'secret': 'VARCHAR', 'secret_original': 'VARCHAR',
        'extension': 'VARCHAR', 'is_video': 'VARCHAR'}) d
    LEFT JOIN read_csv('{folder}/yfcc100m_autotags', delim = '\t', header = false, quote = '', escape = '',
        auto_detect = false, columns = {'photo_id': 'BIGINT', 'payload': 'VARCHAR'}) a USING (photo_id)
    LEFT JOIN read_csv('{folder}/yfcc100m_exif', delim = '\t', header = false, quote = '', escape = '',
        auto_detect = false, columns = {'photo_id': 'BIGINT', 'payload': 'VARCHAR'}) e USING (photo_id)
    LEFT JOIN read_csv('{folder}/yfcc100m_places', delim = '\t', header = false, quote = '', escape = '',
        auto_detect = false, columns = {'photo_id': 'BIGINT', 'payload': 'VARCHAR'}) p USING (photo_id)
    ORDER BY (hash64(d.photo_id)::UHUGEINT * {shards} >> 64), d.photo_id
) TO '{output}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group});
