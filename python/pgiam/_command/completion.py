"""`pgiam completion`: scripts made from the parsers themselves, so that they know every flag."""

from __future__ import annotations

import argparse
from typing import NamedTuple

# Options whose value is a file; everything else has nothing that a shell could know.
_FILES = frozenset({"--ca-file", "--data", "--postgres"})


class Flag(NamedTuple):
    """One option as a shell completes it."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


def fill(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print a script that teaches a shell to complete pgiam's commands and options."
    parser.epilog = (
        "examples:\n"
        "  pgiam completion bash > ~/.local/share/bash-completion/completions/pgiam\n"
        '  pgiam completion zsh > "${fpath[1]}/_pgiam"\n'
        "  pgiam completion fish > ~/.config/fish/completions/pgiam.fish"
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    commands = _commands()
    write = {"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell]
    print(write(commands), end="")
    return 0


def _commands() -> dict[str, tuple[str, list[Flag]]]:
    """Command -> its line of help, and its options."""
    from pgiam.cli import build_parser

    parser = build_parser()
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    found = {}
    for choice in actions[0]._choices_actions:
        command = actions[0].choices[choice.dest]
        if choice.dest == "sandbox":
            command = _sandbox_parser() or command
        found[choice.dest] = (choice.help or "", _flags(command))
    return found


def _sandbox_parser() -> argparse.ArgumentParser | None:
    try:
        from pgiam.sandbox.command import _parser
    except ModuleNotFoundError:
        return None  # the extra is not installed
    return _parser()


def _flags(parser: argparse.ArgumentParser) -> list[Flag]:
    flags = []
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices or ())
        if action.option_strings:
            # zsh takes a colon and a bracket for its own.
            text = (action.help or "").split(" [")[0].replace(":", ",").replace("'", "").replace("%", "")
            flags.append(Flag(tuple(action.option_strings), text, action.nargs != 0, choices))
        elif choices:
            flags.append(Flag((), "", True, choices))
    return flags


def _bash(commands: dict[str, tuple[str, list[Flag]]]) -> str:
    cases, values = [], []
    for name, (_, flags) in commands.items():
        words = [word for flag in flags for word in (flag.names or flag.choices)]
        cases.append(f"        {name}) words='{' '.join(words)}' ;;")
        for flag in flags:
            if flag.names and flag.choices:
                pattern = "|".join(f"{name}:{option}" for option in flag.names)
                values.append(f"        {pattern}) words='{' '.join(flag.choices)}' ;;")
    files = "|".join(f"*:{name}" for name in sorted(_FILES))
    lines = [
        "_pgiam() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="${COMP_WORDS[1]}" words=',
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f"        COMPREPLY=($(compgen -W '{' '.join(commands)} --help --version' -- \"$word\"))",
        "        return",
        "    fi",
        '    case "$command" in',
        *cases,
        "    esac",
        '    case "$command:$before" in',
        *values,
        f'        {files}) COMPREPLY=($(compgen -f -- "$word")); return ;;',
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "}",
        "complete -F _pgiam pgiam",
    ]
    return "\n".join(lines) + "\n"


def _zsh(commands: dict[str, tuple[str, list[Flag]]]) -> str:
    described = [f"        '{name}:{text.replace(chr(39), '')}'" for name, (text, _) in commands.items()]
    cases = []
    for name, (_, flags) in commands.items():
        specs = [_zsh_spec(flag) for flag in flags]
        cases.append(f"        {name}) _arguments {' '.join(specs)} '*:: :_default' ;;")
    lines = [
        "#compdef pgiam",
        "_pgiam() {",
        "    local -a commands=(",
        *described,
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    local command=$words[2]",
        "    shift words",
        "    (( CURRENT-- ))",
        "    case $command in",
        *cases,
        "    esac",
        "}",
        '_pgiam "$@"',
    ]
    return "\n".join(lines) + "\n"


def _zsh_spec(flag: Flag) -> str:
    if not flag.names:
        return f"'1:choice:({' '.join(flag.choices)})'"
    value = ""
    if flag.takes_value:
        value = f":value:({' '.join(flag.choices)})" if flag.choices else ":value:"
        if set(flag.names) & _FILES:
            value = ":file:_files"
    text = flag.help.replace("[", "(").replace("]", ")")
    names = flag.names
    if len(names) == 1:
        return f"'{names[0]}[{text}]{value}'"
    return f"'({' '.join(names)})'{{{','.join(names)}}}'[{text}]{value}'"


def _fish(commands: dict[str, tuple[str, list[Flag]]]) -> str:
    names = " ".join(commands)
    lines = ["complete -c pgiam -f"]
    for name, (text, flags) in commands.items():
        unseen = f"not __fish_seen_subcommand_from {names}"
        lines.append(f"complete -c pgiam -n '{unseen}' -a {name} -d '{text.replace(chr(39), '')}'")
        seen = f"complete -c pgiam -n '__fish_seen_subcommand_from {name}'"
        lines.extend(f"{seen} {_fish_spec(flag)}" for flag in flags)
    return "\n".join(lines) + "\n"


def _fish_spec(flag: Flag) -> str:
    if not flag.names:
        return f"-a '{' '.join(flag.choices)}'"
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    if flag.takes_value:
        parts.append("-x" if not set(flag.names) & _FILES else "-r -F")
    if flag.choices:
        parts.append(f"-a '{' '.join(flag.choices)}'")
    return " ".join([*parts, f"-d '{flag.help}'"])
