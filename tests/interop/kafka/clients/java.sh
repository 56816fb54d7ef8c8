# Apache Kafka's command-line tools, by their classes.
set -eu
lib=$1
verb=$2
topic=$3
settings=$(mktemp)
cat >"$settings" <<SETTINGS
security.protocol=$SECURITY_PROTOCOL
sasl.mechanism=$MECHANISM
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="$USERNAME" password="$PASSWORD";
group.protocol=${GROUP_PROTOCOL:-classic}
SETTINGS
java="java -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp $lib/* org.apache.kafka.tools"
at="--bootstrap-server $BOOTSTRAP"
set -f
case $verb in
produce)
    last=$(($4 + $5 - 1))
    seq "$4" "$last" | sed 's/.*/k&:&/' | $java.ConsoleProducer $at \
        --producer.config "$settings" --topic "$topic" --property parse.key=true \
        --property key.separator=: >/dev/null
    ;;
member)
    exec $java.consumer.ConsoleConsumer $at --consumer.config "$settings" --topic "$topic" \
        --group "$4" --consumer-property auto.offset.reset=earliest
    ;;
admin)
    admin="$at --command-config $settings"
    $java.TopicCommand $admin --create --topic "$topic" --partitions 3
    $java.TopicCommand $admin --describe --topic "$topic" | grep -q 'PartitionCount: 3'
    $java.GetOffsetShell $admin --topic "$topic" --time -1 | grep -q "$topic:2:0"
    echo "{\"partitions\":[{\"topic\":\"$topic\",\"partition\":0,\"offset\":0}],\"version\":1}" >"$settings.json"
    $java.DeleteRecordsCommand $admin --offset-json-file "$settings.json" | grep -q 'low_watermark: 0'
    $java.LogDirsCommand $admin --describe | grep -q mainstem
    $java.consumer.group.ConsumerGroupCommand $admin --list >/dev/null
    $java.TopicCommand $admin --delete --topic "$topic"
    ;;
esac
