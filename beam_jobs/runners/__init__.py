"""Where a job runs: this machine, Flink, Prism or Dataflow, and what each of them needs."""
