# Apache Kafka's command-line tools, by their classes.
set -eu
lib=$1
verb=$2
topic=${3:-}
if [ "$verb" = version ]; then
    exec java -cp "$lib/*" org.apache.kafka.tools.TopicCommand --version
fi
login=org.apache.kafka.common.security
settings=$(mktemp)
trap 'rm -f "$settings" "$settings.json" "$settings.errors"' EXIT
{
    echo "security.protocol=$SECURITY_PROTOCOL"
    case $MECHANISM in
    PLAIN) module=plain.PlainLoginModule ;;
    SCRAM-*) module=scram.ScramLoginModule ;;
    OAUTHBEARER)
        echo "sasl.oauthbearer.token.endpoint.url=file://$TOKEN_FILE"
        echo "sasl.login.callback.handler.class=$login.oauthbearer.OAuthBearerLoginCallbackHandler"
        echo "sasl.jaas.config=$login.oauthbearer.OAuthBearerLoginModule required;"
        ;;
    GSSAPI)
        echo "sasl.kerberos.service.name=$SERVICE"
        printf 'sasl.jaas.config=%s required useKeyTab=true storeKey=true keyTab="%s" ' \
            com.sun.security.auth.module.Krb5LoginModule "$KEYTAB"
        printf 'principal="%s";\n' "$PRINCIPAL"
        ;;
    esac
    [ -z "$MECHANISM" ] || echo "sasl.mechanism=$MECHANISM"
    [ -z "${module:-}" ] || printf 'sasl.jaas.config=%s required username="%s" password="%s";\n' \
        "$login.$module" "$USERNAME" "$PASSWORD"
    [ -z "${CA:-}" ] || printf 'ssl.truststore.type=PEM\nssl.truststore.location=%s\n' "$CA"
    [ -z "${KEY_AND_CERTIFICATE:-}" ] ||
        printf 'ssl.keystore.type=PEM\nssl.keystore.location=%s\n' "$KEY_AND_CERTIFICATE"
} >"$settings"
options="-Xmx128m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error"
oauth=org.apache.kafka.sasl.oauthbearer
[ -z "${TOKEN_FILE:-}" ] ||
    options="$options -D$oauth.allowed.urls=file://$TOKEN_FILE -D$oauth.allowed.files=$TOKEN_FILE"
[ -z "${KEYTAB:-}" ] || options="$options -Djava.security.krb5.conf=$KRB5_CONFIG"
java="java $options -cp $lib/* org.apache.kafka.tools"
at="--bootstrap-server $BOOTSTRAP"
set -f
case $verb in
produce)
    last=$(($4 + $5 - 1))
    seq "$4" "$last" | sed 's/.*/k&:&/' | $java.ConsoleProducer $at \
        --producer.config "$settings" --topic "$topic" --property parse.key=true \
        --property key.separator=: >/dev/null 2>"$settings.errors" || failed=1
    # What became of its records it says there only.
    cat "$settings.errors" >&2
    [ -z "${failed:-}" ] && ! grep -q 'Error when sending' "$settings.errors"
    ;;
member)
    echo "group.protocol=${GROUP_PROTOCOL:-classic}" >>"$settings"
    $java.consumer.ConsoleConsumer $at --consumer.config "$settings" --topic "$topic" \
        --group "$4" --isolation-level "${ISOLATION:-read_uncommitted}" \
        --consumer-property auto.offset.reset=earliest
    ;;
admin)
    admin="$at --command-config $settings"
    $java.TopicCommand $admin --create --topic "$topic" --partitions 3
    $java.TopicCommand $admin --describe --topic "$topic" | grep -q 'PartitionCount: 3'
    $java.GetOffsetShell $admin --topic "$topic" --time -1 | grep -q "$topic:2:0"
    printf '{"partitions":[{"topic":"%s","partition":0,"offset":0}],"version":1}' "$topic" \
        >"$settings.json"
    $java.DeleteRecordsCommand $admin --offset-json-file "$settings.json" |
        grep -q 'low_watermark: 0'
    $java.LogDirsCommand $admin --describe | grep -q mainstem
    $java.consumer.group.ConsumerGroupCommand $admin --list >/dev/null
    $java.TransactionsCommand $admin list | grep -q TransactionalId
    $java.TopicCommand $admin --delete --topic "$topic"
    ;;
*)
    echo "the tools have no transactional producer" >&2
    exit 1
    ;;
esac
