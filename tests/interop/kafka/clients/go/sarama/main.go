// Sarama.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type printer struct{}

func (printer) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (printer) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (printer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		fmt.Println(string(message.Value))
		session.MarkMessage(message, "")
	}
	return nil
}

func main() {
	verb, topic := os.Args[1], os.Args[2]
	brokers := []string{os.Getenv("BOOTSTRAP")}
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	config.Net.SASL.Enable = true
	config.Net.SASL.User = os.Getenv("USERNAME")
	config.Net.SASL.Password = os.Getenv("PASSWORD")
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = time.Second
	switch verb {
	case "produce":
		first, _ := strconv.Atoi(os.Args[3])
		count, _ := strconv.Atoi(os.Args[4])
		producer, err := sarama.NewSyncProducer(brokers, config)
		check(err)
		var messages []*sarama.ProducerMessage
		for number := first; number < first+count; number++ {
			key, value := fmt.Sprintf("k%d", number), strconv.Itoa(number)
			messages = append(messages, &sarama.ProducerMessage{Topic: topic,
				Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value)})
		}
		check(producer.SendMessages(messages))
		check(producer.Close())
	case "member":
		group, err := sarama.NewConsumerGroup(brokers, os.Args[3], config)
		check(err)
		for {
			check(group.Consume(context.Background(), []string{topic}, printer{}))
		}
	case "admin":
		admin, err := sarama.NewClusterAdmin(brokers, config)
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
}
