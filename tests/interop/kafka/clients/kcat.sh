# kcat.
set -eu
settings="-b $BOOTSTRAP -X security.protocol=$SECURITY_PROTOCOL -X sasl.mechanism=$MECHANISM"
settings="$settings -X sasl.username=$USERNAME -X sasl.password=$PASSWORD"
verb=$1
topic=$2
case $verb in
produce)
    last=$(($3 + $4 - 1))
    seq "$3" "$last" | sed 's/.*/k&:&/' | kcat $settings -P -t "$topic" -K : -z snappy
    ;;
member)
    exec kcat $settings -q -u -X auto.offset.reset=earliest -X session.timeout.ms=6000 \
        -G "$3" "$topic"
    ;;
# It has no requests of administrators but for what there is.
admin) kcat $settings -L | grep -q broker ;;
esac
