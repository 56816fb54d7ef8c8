// franz-go.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"interop/told"

	krb5 "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/kerberos"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var (
	background = context.Background()
	check      = told.Check
)

func base() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(os.Getenv("BOOTSTRAP"))}
	user, password := os.Getenv("USERNAME"), os.Getenv("PASSWORD")
	switch os.Getenv("MECHANISM") {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case "SCRAM-SHA-256":
		auth := scram.Auth{User: user, Pass: password}
		options = append(options, kgo.SASL(auth.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		auth := scram.Auth{User: user, Pass: password}
		options = append(options, kgo.SASL(auth.AsSha512Mechanism()))
	case "OAUTHBEARER":
		options = append(options, kgo.SASL(oauth.Auth{Token: os.Getenv("TOKEN")}.AsMechanism()))
	case "GSSAPI":
		options = append(options, kgo.SASL(tickets().AsMechanism()))
	}
	if config := told.TLS(); config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	return options
}

func tickets() kerberos.Auth {
	realms, err := config.Load(os.Getenv("KRB5_CONFIG"))
	check(err)
	key, err := keytab.Load(os.Getenv("KEYTAB"))
	check(err)
	user, realm := told.Principal()
	login := krb5.NewWithKeytab(user, realm, key, realms, krb5.DisablePAFXFAST(true))
	return kerberos.Auth{Client: login, Service: os.Getenv("SERVICE")}
}

func reader(group, topic string) []kgo.Opt {
	isolation := kgo.ReadUncommitted()
	if os.Getenv("ISOLATION") == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	return []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(isolation), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(time.Second)}
}

func client(more ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append(base(), more...)...)
	check(err)
	return made
}

func send(producer *kgo.Client, topic string, first, count int) {
	for number := first; number < first+count; number++ {
		key, value := fmt.Sprintf("k%d", number), strconv.Itoa(number)
		record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		producer.Produce(background, record, func(_ *kgo.Record, err error) { check(err) })
	}
	check(producer.Flush(background))
}

func member(topic, group string) {
	consumer := client(reader(group, topic)...)
	for {
		fetches := consumer.PollFetches(background)
		fetches.EachRecord(func(record *kgo.Record) { fmt.Println(string(record.Value)) })
	}
}

func transact(topic string, count int) {
	producer := client(kgo.TransactionalID(topic))
	for turn := range 3 {
		check(producer.BeginTransaction())
		send(producer, topic, turn*count, count)
		check(producer.EndTransaction(background, kgo.TransactionEndTry(turn != 1)))
	}
	producer.Close()
}

func transform(source, target, group, end string) {
	options := append(base(), reader(group, source)...)
	options = append(options, kgo.TransactionalID(group), kgo.RequireStableFetchOffsets(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	session, err := kgo.NewGroupTransactSession(options...)
	check(err)
	for {
		records := session.PollRecords(background, 50).Records()
		if len(records) == 0 {
			continue
		}
		check(session.Begin())
		for _, it := range records {
			over := &kgo.Record{Topic: target, Key: it.Key, Value: it.Value}
			session.Produce(background, over, func(_ *kgo.Record, err error) { check(err) })
		}
		// Offsets go with the end here, so the one that hangs has none in its transaction.
		check(session.Client().Flush(background))
		switch end {
		case "abort":
			_, err = session.End(background, kgo.TryAbort)
			check(err)
			session.Close()
			return
		case "hang":
			fmt.Println("open")
			select {}
		}
		_, err = session.End(background, kgo.TryCommit)
		check(err)
	}
}

func administrate(topic string) {
	admin := kadm.NewClient(client())
	_, err := admin.CreateTopic(background, 3, 1, nil, topic)
	check(err)
	_, err = admin.DescribeTopicConfigs(background, topic)
	check(err)
	_, err = admin.ListEndOffsets(background, topic)
	check(err)
	_, err = admin.ListGroups(background)
	check(err)
	_, err = admin.ListTransactions(background, nil, nil)
	check(err)
	_, err = admin.DeleteTopics(background, topic)
	check(err)
}

func main() {
	verb, words := os.Args[1], os.Args[2:]
	switch verb {
	case "version":
		told.Version("github.com/twmb/franz-go")
	case "produce":
		send(client(), words[0], told.Number(words[1]), told.Number(words[2]))
	case "member":
		member(words[0], words[1])
	case "transact":
		transact(words[0], told.Number(words[1]))
	case "transform":
		transform(words[0], words[1], words[2], words[3])
	case "admin":
		administrate(words[0])
	}
}
