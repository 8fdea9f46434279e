play "a command that takes its time" {
  hosts  = "all"
  become = true
  task "long command" {
    command {
      shell   = "echo begun >>/srv/long; trap '' PIPE; cat >>/srv/long; echo $SECRET >>/srv/long; until [ -e /srv/go ]; do sleep 0.1; done; echo ended >>/srv/long; echo out; echo err >&2"
      stdin   = "input\n"
      env     = { SECRET = "it's one" }
      limit   = "20m"
      creates = "/srv/go"
    }
    register = "long"
  }
  task "what it said" {
    when = result.long.changed
    assert {
      that = [result.long.stdout == "out", result.long.stderr == "err"]
    }
  }
  task "after it" {
    file {
      path    = "/srv/after"
      content = "the run went on\n"
    }
  }
}
