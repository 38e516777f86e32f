#!/usr/bin/env bash
# Counts what each piece of benches/instructions.rs costs, in instructions, and fails when one has grown by more than
# 10 % over benches/instructions.tsv. Needs valgrind. `--record` writes that file anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

record=benches/instructions.tsv
times=4000

compiler="$(rustc --version) $(rustc -vV | sed -n 's/^host: //p')"
if [[ ${1-} != --record && $compiler != "$(sed -n 's/^# Counted with //p' "$record")" ]]; then
  printf '!!! SKIPPED: %s holds the counts of another compiler than %s\n' "$record" "$compiler"
  exit 0
fi

program=$(cargo bench --locked --bench instructions --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*instructions-[^"]*\)".*/\1/p')

# total PIECE TIMES: instructions from start to end.
total() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p'
}

# What starting up costs is in both totals.
counted() {
  local once twice
  once=$(total "$1" "$times")
  twice=$(total "$1" $((2 * times)))
  echo $(((twice - once) / times))
}

counts=() grown=()
printf '%-16s %12s %12s %12s\n' piece instructions recorded allowed
for piece in turn permit permit-limited hit pass; do
  count=$(counted "$piece")
  counts+=("$piece"$'\t'"$count")
  recorded=$(awk -F '\t' -v piece="$piece" '$1 == piece { print $2 }' "$record" 2>/dev/null || true)
  allowed=$((${recorded:-0} * 110 / 100))
  printf '%-16s %12d %12d %12d\n' "$piece" "$count" "${recorded:-0}" "$allowed"
  ((count <= allowed)) || grown+=("$piece")
done

if [[ ${1-} == --record ]]; then
  printf '%s\n' "# Counted with $compiler" "# by bash benches/instructions.sh --record" "${counts[@]}" >"$record"
elif ((${#grown[@]} > 0)); then
  printf '\n!!! more than 10 %% over what is recorded: %s\n' "${grown[*]}" >&2
  printf 'Mend it, or say in the commit what it buys and run: bash benches/instructions.sh --record\n' >&2
  exit 1
fi
