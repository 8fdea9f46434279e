alias s='systemctl status'
alias cs='ceph -s'
alias df='df -h'
