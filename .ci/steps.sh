# What the scripts beside it share: where they run, and how a step is run by its name.
# A script defines a function for each step, and ends with `steps "all of them, in order" "$@"`.

# A command that fails within $(…) ends the script too.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never

# Wherever the environment or a configuration of cargo's puts it.
target=$(cargo metadata --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# What could not be checked here, to be said again at the end.
unchecked=()

# steps ALL [NAME…]: runs the named steps, or all of them.
steps() {
    local all=$1 name
    shift
    [[ $# -gt 0 ]] || set -- $all
    for name in "$@"; do
        if [[ " $all " != *" $name "* ]]; then
            echo "there is no step $name; the steps are: $all" >&2
            exit 2
        fi
    done
    for name in "$@"; do
        printf '\n== %s (%ss)\n' "${name//_/ }" "$SECONDS"
        "$name"
    done
    printf '\n== done (%ss)\n' "$SECONDS"
    for name in "${unchecked[@]}"; do
        echo "NOT checked here: $name"
    done
}

# not_checked WHAT: says that something is missing here, and goes on.
not_checked() {
    unchecked+=("$1")
    echo "NOT checked here: $1"
}

# toolchain NAME: installs a Rust toolchain where it is missing; fails where it cannot be had.
toolchain() {
    cargo "+$1" --version >/dev/null 2>&1 || rustup toolchain install "$1" --profile minimal >/dev/null 2>&1
}

# tool NAME: installs a subcommand of cargo where it is missing; where it cannot be had, says so and fails.
tool() {
    cargo "${1#cargo-}" --version >/dev/null 2>&1 || cargo install --locked --quiet "$1" || {
        not_checked "${FUNCNAME[1]//_/ }: $1 cannot be installed"
        return 1
    }
}

# fuzz_ended CODE: takes the exit code of `.ci/fuzz`; says so where nothing could be fuzzed, and goes on.
fuzz_ended() {
    case $1 in
    0) ;;
    3) not_checked "what fuzzing finds; the tests play the seeds" ;;
    *) return "$1" ;;
    esac
}

# the_package: unpacks what would be published, and says where.
the_package() {
    local version
    cargo package --quiet --locked --package esper-rs-client --allow-dirty --no-verify >&2
    version=$(grep -m 1 '^version = ' Cargo.toml | cut -d '"' -f 2)
    rm -rf "$target/unpacked"
    mkdir -p "$target/unpacked"
    tar -xf "$target/package/esper-rs-client-$version.crate" -C "$target/unpacked"
    # Not a member of the workspace that it lies in.
    printf '\n[workspace]\n' >>"$target/unpacked/esper-rs-client-$version/Cargo.toml"
    echo "$target/unpacked/esper-rs-client-$version"
}
