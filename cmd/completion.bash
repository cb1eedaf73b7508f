# Completion for bash: memwatch itself knows its commands and options.
_memwatch() {
    local candidates
    candidates=$(memwatch --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _memwatch memwatch
