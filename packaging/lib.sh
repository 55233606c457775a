# What the scripts of this folder share. Sourced with the repository as working directory.

# field NAME: a value of [package] in Cargo.toml.
field() { sed -n '/^\[package\]/,/^\[/s/^'"$1"' = "\(.*\)"$/\1/p' Cargo.toml; }

NAME=$(field name)
VERSION=$(field version)
REPOSITORY=$(field repository)
ARCH=${ARCH:-$(uname -m)}
BINARY=${BINARY:-target/$ARCH-unknown-linux-gnu/dist/$NAME}
OUT=${OUT:-target/package}
REVISION=${REVISION:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
# Files carry the time of the commit, so that two builds of it are one.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

need_binary() {
    [[ -x "$BINARY" ]] || fail "no $BINARY: run make dist first"
    # What names an interpreter needs libraries, which neither the image nor another distribution has.
    if head -c 4096 "$BINARY" | grep -q 'ld-linux'; then fail "$BINARY is not static"; fi
}
