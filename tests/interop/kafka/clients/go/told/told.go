// Package told is what the environment says of the way in, for both clients.
package told

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Check ends the program with what went wrong.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Number is a word of the command line as a number.
func Number(word string) int {
	number, err := strconv.Atoi(word)
	Check(err)
	return number
}

// TLS is nil where the way in has none.
func TLS() *tls.Config {
	file := os.Getenv("CA")
	if file == "" {
		return nil
	}
	authority, err := os.ReadFile(file)
	Check(err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AppendCertsFromPEM(authority)
	if certificate := os.Getenv("CERTIFICATE"); certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, os.Getenv("KEY"))
		Check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// Principal is whose tickets are taken, and the realm.
func Principal() (string, string) {
	user, realm, _ := strings.Cut(os.Getenv("PRINCIPAL"), "@")
	return user, realm
}

// Version prints the version of a module that this program is built with.
func Version(module string) {
	built, _ := debug.ReadBuildInfo()
	for _, it := range built.Deps {
		if it.Path == module {
			fmt.Println(it.Version)
		}
	}
}
