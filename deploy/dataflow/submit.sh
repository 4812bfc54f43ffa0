#!/usr/bin/env bash
# The image and the flex template of photobeam on Dataflow, and jobs from it; deploy/README.md has the rights it needs.
#
#   submit.sh image                          build the image in Cloud Build, from this checkout
#   submit.sh template                       put the template into the bucket
#   submit.sh run JOB_NAME FLAG=VALUE ...    start a job: the flags of `photobeam build`, without dashes
#
# PROJECT, REGION, IMAGE (REGION-docker.pkg.dev/PROJECT/REPOSITORY/photobeam:TAG) and BUCKET (gs://NAME) say where;
# `run` also wants SERVICE_ACCOUNT, who the workers are, and SUBNETWORK (regions/REGION/subnetworks/NAME).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${PROJECT:?is the id of the project}" "${REGION:?is where the job runs, such as europe-west4}"
: "${IMAGE:?is REGION-docker.pkg.dev/PROJECT/REPOSITORY/photobeam:TAG}" "${BUCKET:?is gs://NAME}"
template=$BUCKET/templates/photobeam-build.json

image() {
  gcloud builds submit "$here/../.." --project "$PROJECT" --region "$REGION" \
    --config "$here/cloudbuild.yaml" --substitutions "_IMAGE=$IMAGE"
}

template() {
  sed "s|\"IMAGE\"|\"$IMAGE\"|" "$here/template.json" | gcloud storage cp --project "$PROJECT" - "$template"
}

# Each flag is an argument of its own, with ~ for a separator that no flag has: values may hold commas.
run() {
  local job=${1:?is the name of the job} parameters=()
  shift
  : "${SERVICE_ACCOUNT:?is the account of the workers}" "${SUBNETWORK:?is regions/REGION/subnetworks/NAME}"
  for flag in "$@"; do
    parameters+=("--parameters=^~^$flag")
  done
  gcloud dataflow flex-template run "$job" --project "$PROJECT" --region "$REGION" \
    --template-file-gcs-location "$template" --service-account-email "$SERVICE_ACCOUNT" \
    --subnetwork "$SUBNETWORK" --disable-public-ips \
    --temp-location "$BUCKET/temp" --staging-location "$BUCKET/staging" "${parameters[@]}"
}

case ${1:-} in
  image | template | run) "$@" ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
