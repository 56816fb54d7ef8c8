//! SCRAM as RFC 7677 shows it, and servers that do not know the password.

use crate::Error;
use crate::security::Proof;
use crate::security::scram::{Digest, Scram};

const QUESTION: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn begun() -> Scram {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let (scram, first) = Scram::with_nonce(Digest::Sha256, "user", "pencil".into(), nonce);
    assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    scram
}

#[test]
fn the_example_of_the_standard() {
    let mut scram = begun();
    let Ok(Proof::Say(proof)) = scram.answered(QUESTION.as_bytes()) else {
        panic!("a proof is expected");
    };
    assert_eq!(
        String::from_utf8_lossy(&proof),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert!(matches!(scram.answered(last), Ok(Proof::Done)));
    assert!(scram.answered(last).is_err(), "nothing more is to be said");
}

#[test]
fn a_server_that_is_none_is_refused() {
    let questions = [
        "",
        "e=other-error",
        "r=somebody,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
    ];
    for question in questions {
        let told = begun().answered(question.as_bytes());
        assert!(matches!(told, Err(Error::SignIn(_))), "{question}");
    }
    let mut scram = begun();
    assert!(scram.answered(QUESTION.as_bytes()).is_ok());
    assert!(scram.answered(b"v=AAAA").is_err(), "it does not know the password");
}
