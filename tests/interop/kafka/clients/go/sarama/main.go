// Sarama.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"interop/told"

	"github.com/IBM/sarama"
)

var check = told.Check

func brokers() []string {
	return []string{os.Getenv("BOOTSTRAP")}
}

func configuration() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = time.Second
	if os.Getenv("ISOLATION") == "read_committed" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	signIn(config)
	return config
}

func transactional(id string) sarama.SyncProducer {
	config := configuration()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(brokers(), config)
	check(err)
	return producer
}

func send(producer sarama.SyncProducer, topic string, first, count int) {
	var messages []*sarama.ProducerMessage
	for number := first; number < first+count; number++ {
		key, value := fmt.Sprintf("k%d", number), strconv.Itoa(number)
		messages = append(messages, &sarama.ProducerMessage{Topic: topic,
			Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value)})
	}
	check(producer.SendMessages(messages))
}

func produce(topic string, first, count int) {
	producer, err := sarama.NewSyncProducer(brokers(), configuration())
	check(err)
	send(producer, topic, first, count)
	check(producer.Close())
}

func consume(topic, group string, config *sarama.Config, handler sarama.ConsumerGroupHandler) {
	member, err := sarama.NewConsumerGroup(brokers(), group, config)
	check(err)
	for {
		check(member.Consume(context.Background(), []string{topic}, handler))
	}
}

func transact(topic string, count int) {
	producer := transactional(topic)
	for turn := range 3 {
		check(producer.BeginTxn())
		send(producer, topic, turn*count, count)
		if turn == 1 {
			check(producer.AbortTxn())
		} else {
			check(producer.CommitTxn())
		}
	}
	check(producer.Close())
}

func administrate(topic string) {
	admin, err := sarama.NewClusterAdmin(brokers(), configuration())
	check(err)
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}
	check(admin.CreateTopic(topic, detail, false))
	_, err = admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	check(err)
	_, err = admin.ListConsumerGroups()
	check(err)
	check(admin.DeleteRecords(topic, map[int32]int64{0: 0}))
	check(admin.DeleteTopic(topic))
}

func main() {
	verb, words := os.Args[1], os.Args[2:]
	switch verb {
	case "version":
		told.Version("github.com/IBM/sarama")
	case "produce":
		produce(words[0], told.Number(words[1]), told.Number(words[2]))
	case "member":
		consume(words[0], words[1], configuration(), printer{})
	case "transact":
		transact(words[0], told.Number(words[1]))
	case "transform":
		transform(words[0], words[1], words[2], words[3])
	case "admin":
		administrate(words[0])
	}
}
