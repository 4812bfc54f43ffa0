# shellcheck shell=bash
# What a cluster consists of: Flink, from PyPI, and Beam's job server, from Maven Central. Both are kept in the cache.
# flink.sh reads this file.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flink_version=1.20.5
beam_version=2.77.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/photobeam/flink-$flink_version
flink_home=$cache/flink
official=org.apache.beam:beam-runners-flink-1.20-job-server
# What is built from another pom.xml is another jar.
job_server=$cache/job-server-$(cksum < "$here/pom.xml" | cut -d ' ' -f 1)
job_server_jar=${FLINK_JOB_SERVER_JAR:-$job_server/job-server.jar}

fetch() {
  [ -z "${FLINK_JOB_SERVER_JAR:-}" ] || [ -f "$FLINK_JOB_SERVER_JAR" ] ||
    fail "FLINK_JOB_SERVER_JAR $FLINK_JOB_SERVER_JAR is no file: check the path, or unset it"
  check_java
  mkdir -p "$cache"
  (
    flock 9
    [ -d "$flink_home" ] || fetch_flink
    [ -e "$job_server_jar" ] || fetch_job_server
  ) 9> "$cache/lock"
}

check_java() {
  local version
  version=$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
  [ "${version:-0}" -ge 11 ] ||
    fail "Java 11 or newer is needed, and ${JAVA_HOME:-PATH} has ${version:-none}: install Java 17, or set JAVA_HOME"
}

job_server_kind() {
  if [ -n "${FLINK_JOB_SERVER_JAR:-}" ]; then
    echo "the jar that FLINK_JOB_SERVER_JAR names"
  else
    cat "$job_server/kind"
  fi
}

# A folder is made beside its place and moved there when it is whole, so what is in the cache is whole.
fetch_flink() {
  local part=$flink_home.part
  say "fetching Flink $flink_version from PyPI (232 MB)"
  rm -rf "$part"
  mkdir -p "$part/downloads"
  # The wheel of one Python on one kind of machine will do: no more than the shell scripts is taken from it.
  "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
    --python-version 3.11 --platform manylinux2014_x86_64 \
    --only-binary apache-flink --no-binary apache-flink-libraries \
    --require-hashes --requirement "$here/requirements.txt" --dest "$part/downloads" ||
    fail "Flink cannot be fetched from PyPI by '${PYTHON:-python3} -m pip': see above, or set PYTHON"
  tar --extract --gzip --file "$part"/downloads/*.tar.gz --directory "$part" --strip-components 2 --wildcards \
    '*/deps/lib/flink-dist-*' '*/deps/lib/log4j-*' '*/deps/bin/*'
  "${PYTHON:-python3}" -m zipfile --extract "$part"/downloads/*.whl "$part/downloads"
  mv "$part"/downloads/pyflink/conf "$part"
  mv "$part"/downloads/pyflink/bin/*.sh "$part/bin"
  chmod +x "$part"/bin/*.sh
  rm -r "$part/downloads"
  mv "$part" "$flink_home"
}

fetch_job_server() {
  local part=$job_server.part
  command -v mvn > /dev/null ||
    fail "Maven, which fetches the job server, is not here: install it, or set FLINK_JOB_SERVER_JAR to a jar you have"
  rm -rf "$part" "$job_server"
  mkdir -p "$part"
  say "fetching $official:$beam_version from Maven Central"
  cp "$here/pom.xml" "$part"
  if maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$official:$beam_version" \
    -DoutputDirectory="$part" -Dmdep.stripVersion=true > "$part/log" 2>&1; then
    mv "$part"/beam-runners-flink-*.jar "$part/job-server.jar"
    echo "official: $official:$beam_version" > "$part/kind"
  elif grep -q "Could not find artifact $official:jar:$beam_version" "$part/log"; then
    say "the registry lacks it; building the substitute that pom.xml describes"
    maven package >&2 || fail "the substitute for the job server cannot be built: see above"
    mv "$part/target/job-server.jar" "$part"
    echo "substitute, from deploy/flink/pom.xml: the registry lacks $official:$beam_version" > "$part/kind"
  else
    cat "$part/log" >&2
    fail "the job server cannot be fetched: see above, or set FLINK_JOB_SERVER_JAR to a jar you have"
  fi
  rm -rf "$part"/{target,pom.xml,log}
  mv "$part" "$job_server"
}

# What the registry once lacked is asked for again. Args: those of mvn.
maven() {
  mvn --batch-mode --quiet --update-snapshots -Dstyle.color=never --file "$job_server.part/pom.xml" "$@"
}
