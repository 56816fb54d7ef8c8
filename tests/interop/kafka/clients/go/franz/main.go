// franz-go.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(more ...kgo.Opt) *kgo.Client {
	auth := plain.Auth{User: os.Getenv("USERNAME"), Pass: os.Getenv("PASSWORD")}
	base := []kgo.Opt{kgo.SeedBrokers(os.Getenv("BOOTSTRAP")), kgo.SASL(auth.AsMechanism())}
	made, err := kgo.NewClient(append(base, more...)...)
	check(err)
	return made
}

func main() {
	verb, topic := os.Args[1], os.Args[2]
	background := context.Background()
	switch verb {
	case "produce":
		first, _ := strconv.Atoi(os.Args[3])
		count, _ := strconv.Atoi(os.Args[4])
		producer := client()
		for number := first; number < first+count; number++ {
			key, value := fmt.Sprintf("k%d", number), strconv.Itoa(number)
			record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
			producer.Produce(background, record, func(_ *kgo.Record, err error) { check(err) })
		}
		check(producer.Flush(background))
	case "member":
		consumer := client(kgo.ConsumerGroup(os.Args[3]), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second))
		for {
			fetches := consumer.PollFetches(background)
			fetches.EachRecord(func(record *kgo.Record) { fmt.Println(string(record.Value)) })
		}
	case "admin":
		admin := kadm.NewClient(client())
		_, err := admin.CreateTopic(background, 3, 1, nil, topic)
		check(err)
		_, err = admin.DescribeTopicConfigs(background, topic)
		check(err)
		_, err = admin.ListEndOffsets(background, topic)
		check(err)
		_, err = admin.ListGroups(background)
		check(err)
		_, err = admin.DeleteTopics(background, topic)
		check(err)
	}
}
