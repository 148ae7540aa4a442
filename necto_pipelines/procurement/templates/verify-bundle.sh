#!/bin/sh
# Checks a trace bundle of Necto with OpenSSL 3 and a POSIX shell; nothing of Necto is needed.
#
#   sh verify.sh FOLDER 'name+hash+key'
#
# The second argument is the log's public key. Have it from another source than this folder.
# Exit 0: everything holds. Exit 1: the first line that begins with FAILED says what does not.
set -eu
folder=${1:?usage: sh verify.sh FOLDER VKEY} vkey=${2:?give the public key of the log, name+hash+key}
cd "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED  $1"; exit 1; }
sha256() { openssl dgst -sha256 -binary; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
decode() { openssl base64 -d -A; }

# 1. The checkpoint is of the log that the key names, and signed by that key.
name=${vkey%%+*} rest=${vkey#*+}
key_id=${rest%%+*} key=${rest#*+}
sed '/^$/,$d' checkpoint > "$work/text"
sed '1,/^$/d' checkpoint > "$work/signatures"
origin=$(sed -n 1p "$work/text") size=$(sed -n 2p "$work/text") root=$(sed -n 3p "$work/text")
[ "$origin" = "$name" ] || fail "the checkpoint is of another log: $origin"
{ printf '\060\052\060\005\006\003\053\145\160\003\041\000'; printf %s "$key" | decode | tail -c 32; } > "$work/key.der"
signed=no
while read -r dash who line; do
    [ "$who" = "$name" ] || continue
    printf %s "$line" | decode > "$work/signature"
    [ "$(head -c 4 "$work/signature" | hex)" = "$key_id" ] || continue
    tail -c 64 "$work/signature" > "$work/ed25519"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$work/text" \
        -sigfile "$work/ed25519" > "$work/said" 2>&1 || fail "the signature on the checkpoint does not hold"
    signed=yes
done < "$work/signatures"
[ "$signed" = yes ] || fail "the checkpoint is not signed by this key"
echo "ok      checkpoint of $origin, $size entries, signed by the key given"

# 2. Each entry's path leads to the checkpoint's root (RFC 6962).
entries=0
for leaf in leaves/*.json; do
    number=${leaf#leaves/} number=${number%.json} proof=proofs/$number.tlog-proof
    [ -f "$proof" ] || fail "entry $number has no proof"
    sed '/^$/,$d' "$proof" > "$work/head"
    sed '1,/^$/d' "$proof" > "$work/note"
    cmp -s "$work/note" checkpoint || fail "the proof of entry $number leads to another checkpoint"
    index=$(sed -n 's/^index //p' "$work/head")
    [ "$index" = "$number" ] || fail "the proof of entry $number is about entry $index"
    [ "$index" -lt "$size" ] || fail "entry $index is outside the log"
    sed '1,/^index /d' "$work/head" > "$work/hashes"
    { printf '\000'; cat "$leaf"; } | sha256 > "$work/node"
    exec 3< "$work/hashes"
    place=$index last=$((size - 1))
    while [ "$last" -gt 0 ]; do
        if [ $((place % 2)) -eq 1 ]; then
            read -r hash <&3 || fail "the proof of entry $number is too short"
            printf %s "$hash" | decode > "$work/side"
            { printf '\001'; cat "$work/side" "$work/node"; } | sha256 > "$work/parent"
            mv "$work/parent" "$work/node"
        elif [ "$place" -lt "$last" ]; then
            read -r hash <&3 || fail "the proof of entry $number is too short"
            printf %s "$hash" | decode > "$work/side"
            { printf '\001'; cat "$work/node" "$work/side"; } | sha256 > "$work/parent"
            mv "$work/parent" "$work/node"
        fi
        place=$((place / 2)) last=$((last / 2))
    done
    if read -r hash <&3; then fail "the proof of entry $number is too long"; fi
    [ "$(openssl base64 -A -in "$work/node")" = "$root" ] || fail "entry $number is not in the signed log"
    entries=$((entries + 1))
done
echo "ok      $entries entries are in the signed log"

# 3. Each row is as the entry beside it in rows/INDEX says: the entry holds the SHA-256 of the row.
rows=0
while read -r row leaf; do
    digest=$(sha256 < "$row" | hex)
    grep -qF "\"sha256\":\"$digest\"" "$leaf" || fail "$row is not as $leaf says"
    rows=$((rows + 1))
done < rows/INDEX
echo "ok      $rows rows are as the newest entry about each left it"

# 4. Kept bytes hash to their names.
blobs=0 kept=blobs
[ -d blobs ] || kept=../../blobs # of an evidence pack, whose invoices share them
for blob in "$kept"/*; do
    [ -f "$blob" ] || continue
    digest=$(sha256 < "$blob" | hex)
    [ "$kept/$digest" = "$blob" ] || fail "$blob hashes to $digest"
    blobs=$((blobs + 1))
done
echo "ok      $blobs raw answers and tables hash to their names"

# 5. Nothing failed already when this folder was made.
if [ -s lost ]; then fail "when this was made: $(head -n 1 lost)"; fi
echo "Not checked here: time stamps in anchors/ (README.txt says how), and copies of the checkpoint kept elsewhere."
