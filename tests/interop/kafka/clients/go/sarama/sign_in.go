package main

import (
	"os"

	"interop/told"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

func signIn(config *sarama.Config) {
	sasl := &config.Net.SASL
	sasl.User, sasl.Password = os.Getenv("USERNAME"), os.Getenv("PASSWORD")
	sasl.Mechanism = sarama.SASLMechanism(os.Getenv("MECHANISM"))
	sasl.Enable = sasl.Mechanism != ""
	switch sasl.Mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		sasl.SCRAMClientGeneratorFunc = conversation(scram.SHA256)
	case sarama.SASLTypeSCRAMSHA512:
		sasl.SCRAMClientGeneratorFunc = conversation(scram.SHA512)
	case sarama.SASLTypeOAuth:
		sasl.TokenProvider = token{}
	case sarama.SASLTypeGSSAPI:
		user, realm := told.Principal()
		sasl.GSSAPI = sarama.GSSAPIConfig{AuthType: sarama.KRB5_KEYTAB_AUTH,
			KerberosConfigPath: os.Getenv("KRB5_CONFIG"), KeyTabPath: os.Getenv("KEYTAB"),
			ServiceName: os.Getenv("SERVICE"), Username: user, Realm: realm, DisablePAFXFAST: true}
	}
	config.Net.TLS.Config = told.TLS()
	config.Net.TLS.Enable = config.Net.TLS.Config != nil
}

type token struct{}

func (token) Token() (*sarama.AccessToken, error) {
	return &sarama.AccessToken{Token: os.Getenv("TOKEN")}, nil
}

// asker is SCRAM as Sarama asks for it: it leaves the mechanism itself to others.
type asker struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func conversation(hash scram.HashGeneratorFcn) func() sarama.SCRAMClient {
	return func() sarama.SCRAMClient { return &asker{hash: hash} }
}

func (it *asker) Begin(user, password, identity string) error {
	client, err := it.hash.NewClient(user, password, identity)
	if err == nil {
		it.ClientConversation = client.NewConversation()
	}
	return err
}
