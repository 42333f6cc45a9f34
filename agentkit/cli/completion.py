"""``agentkit completion``: the script that makes a shell complete commands, flags and values."""

from typing import Final

import click

from agentkit.cli.flags import Command
from agentkit.cli.output import Out

_BASH: Final = r"""# Completion of agentkit in bash. Try it: source <(agentkit completion bash)
# Keep it: agentkit completion bash > ~/.local/share/bash-completion/completions/agentkit
_agentkit_completion() {
    local IFS=$'\n' current="${COMP_WORDS[COMP_CWORD]}" kind value path i word line="" escaped="'\\''"
    local -a words=()
    for ((i = 0; i < COMP_CWORD; i++)); do # bash takes --flag=value for three words
        [ "${COMP_WORDS[i]}" = "=" ] || words+=("${COMP_WORDS[i]}")
    done
    [ "$current" = "=" ] && current=""
    current="${current#[\"\']}"
    words+=("$current")
    for word in "${words[@]}"; do # each in quotes of its own, for it is taken apart as a shell would
        word=${word//\'/$escaped}
        line+=" '$word'"
    done
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case "$kind" in
            plain) COMPREPLY+=("$value") ;;
            file | dir | yaml)
                compopt -o filenames 2> /dev/null
                while read -r path; do
                    [ -e "${path/#\~/$HOME}" ] || continue # half of a name with a line break
                    case "$kind:$path" in
                        file:* | yaml:*.yaml | yaml:*.yml) COMPREPLY+=("$path") ;;
                        *) [ -d "$path" ] && COMPREPLY+=("$path") ;;
                    esac
                done < <(compgen -f -- "$current")
                ;;
        esac
    done < <(COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) \
        _AGENTKIT_COMPLETE=bash_complete "$1" 2> /dev/null)
}
complete -o nosort -F _agentkit_completion agentkit 2> /dev/null || complete -F _agentkit_completion agentkit
"""
_ZSH: Final = r"""#compdef agentkit
# Completion of agentkit in zsh. Try it: source <(agentkit completion zsh)
# Keep it: agentkit completion zsh > FOLDER/_agentkit, where FOLDER is one of $fpath
_agentkit_completion() {
    local -a response plain described
    local kind value said
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        _AGENTKIT_COMPLETE=zsh_complete ${words[1]} 2> /dev/null)}")
    for kind value said in ${response}; do
        case "$kind" in
            plain)
                if [[ "$said" == "_" ]]; then plain+=("$value"); else described+=("$value:$said"); fi
                ;;
            file) _path_files -f ;;
            dir) _path_files -/ ;;
            yaml) _path_files -g '*.(yaml|yml)' ;;
        esac
    done
    [ -n "$described" ] && _describe -V unsorted described -U
    [ -n "$plain" ] && compadd -U -V unsorted -a plain
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _agentkit_completion "$@"
else
    compdef _agentkit_completion agentkit
fi
"""
_FISH: Final = r"""# Completion of agentkit in fish. Try it: agentkit completion fish | source
# Keep it: agentkit completion fish > ~/.config/fish/completions/agentkit.fish
function _agentkit_completion
    set -l response (_AGENTKIT_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \
        agentkit 2> /dev/null)
    for line in $response
        set -l parts (string split -m 1 "," -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case yaml
                __fish_complete_suffix .yaml
            case file
                __fish_complete_path $parts[2]
        end
    end
end
complete --no-files --command agentkit --arguments '(_agentkit_completion)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""The script of each shell: it asks the program, by the variable ``_AGENTKIT_COMPLETE``, as click has it."""


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def command(shell: str) -> int:
    """Print the completion script of a shell; its first lines say how it is tried, and how it is kept."""
    Out().write(SCRIPTS[shell])
    return 0
