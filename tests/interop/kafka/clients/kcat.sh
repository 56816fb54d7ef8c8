# kcat.
set -eu
verb=$1
topic=${2:-}
if [ "$verb" = version ]; then
    exec sh -c "kcat -V | sed -n 's/^Version \([^ ]*\).*librdkafka \([^ ]*\).*/\1, librdkafka \2/p'"
fi
settings="-b $BOOTSTRAP -X security.protocol=$SECURITY_PROTOCOL"
[ -z "$MECHANISM" ] || settings="$settings -X sasl.mechanism=$MECHANISM"
[ -z "${USERNAME:-}" ] ||
    settings="$settings -X sasl.username=$USERNAME -X sasl.password=$PASSWORD"
[ -z "${KEYTAB:-}" ] ||
    settings="$settings -X sasl.kerberos.service.name=$SERVICE \
        -X sasl.kerberos.principal=$PRINCIPAL -X sasl.kerberos.keytab=$KEYTAB"
[ -z "${CA:-}" ] || settings="$settings -X ssl.ca.location=$CA"
[ -z "${KEY:-}" ] ||
    settings="$settings -X ssl.certificate.location=$CERTIFICATE -X ssl.key.location=$KEY"

records() {
    seq "$1" $(($1 + $2 - 1)) | sed 's/.*/k&:&/'
}

# kcat makes one transaction of its input. What it gives up is what it is killed in: the next one
# under the same id ends that.
transaction() {
    kcat $settings -P -t "$topic" -K : -X "transactional.id=$topic"
}

case $verb in
produce) records "$3" "$4" | kcat $settings -P -t "$topic" -K : -z snappy ;;
member)
    exec kcat $settings -q -u -X auto.offset.reset=earliest -X session.timeout.ms=6000 \
        -X "isolation.level=${ISOLATION:-read_uncommitted}" -G "$3" "$topic"
    ;;
# It has no requests of administrators but for what there is.
admin) kcat $settings -L | grep -q broker ;;
transact)
    records 0 "$3" | transaction
    pipe=$(mktemp -u)
    mkfifo "$pipe"
    told=$(mktemp)
    kcat $settings -P -t "$topic" -K : -X "transactional.id=$topic" -d msg \
        <"$pipe" 2>"$told" &
    sender=$!
    exec 3>"$pipe"
    # It reads ahead and keeps records back, and says when the broker has some of them.
    until grep -q 'MessageSet with .* delivered' "$told"; do records "$3" "$3" >&3; done
    kill -KILL "$sender"
    wait "$sender" || true
    exec 3>&-
    rm -f "$pipe" "$told"
    records $(($3 * 2)) "$3" | transaction
    ;;
*)
    echo "kcat commits no offsets in a transaction" >&2
    exit 1
    ;;
esac
