package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/IBM/sarama"
)

// batchMax records of one partition go over in one transaction.
const batchMax = 50

type (
	session = sarama.ConsumerGroupSession
	claim   = sarama.ConsumerGroupClaim
)

type quiet struct{}

func (quiet) Setup(session) error   { return nil }
func (quiet) Cleanup(session) error { return nil }

// printer prints what a member of a group reads.
type printer struct{ quiet }

func (printer) ConsumeClaim(session session, claim claim) error {
	for message := range claim.Messages() {
		fmt.Println(string(message.Value))
		session.MarkMessage(message, "")
	}
	return nil
}

// transformer carries records over; its partitions share one producer, so one at a time.
type transformer struct {
	quiet
	producer           sarama.SyncProducer
	lock               *sync.Mutex
	target, group, end string
}

func (it transformer) ConsumeClaim(_ session, claim claim) error {
	for first := range claim.Messages() {
		batch := []*sarama.ConsumerMessage{first}
		for len(batch) < batchMax && len(claim.Messages()) > 0 {
			batch = append(batch, <-claim.Messages())
		}
		it.over(batch)
	}
	return nil
}

func (it transformer) over(batch []*sarama.ConsumerMessage) {
	it.lock.Lock()
	defer it.lock.Unlock()
	check(it.producer.BeginTxn())
	var messages []*sarama.ProducerMessage
	for _, message := range batch {
		messages = append(messages, &sarama.ProducerMessage{Topic: it.target,
			Key: sarama.ByteEncoder(message.Key), Value: sarama.ByteEncoder(message.Value)})
	}
	check(it.producer.SendMessages(messages))
	check(it.producer.AddMessageToTxn(batch[len(batch)-1], it.group, nil))
	switch it.end {
	case "abort":
		check(it.producer.AbortTxn())
		os.Exit(0)
	case "hang":
		fmt.Println("open")
		select {}
	}
	check(it.producer.CommitTxn())
}

func transform(source, target, group, end string) {
	config := configuration()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Offsets.AutoCommit.Enable = false
	consume(source, group, config, transformer{producer: transactional(group),
		lock: &sync.Mutex{}, target: target, group: group, end: end})
}
