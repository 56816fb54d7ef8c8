//! Kerberos: from principals to names, as Kafka's rules have it, and the messages of GSSAPI with a
//! context that is told what to say.

use crate::config::{Config, Kerberos, Listener};
use crate::kerberos::exchange::{Bad, Client, Context, Exchange, Failed, Shown, Turn};
use crate::kerberos::rules::{Principal, Rules};
use crate::kerberos::{Service, Tickets};
use proptest::prelude::*;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;
use testkit::driven::peer;

const KEY: &str = "key_0123456789abcdef0123456789abcdef";
const PROJECT: &str = "prj_0123456789abcdef0123456789abcdef";

fn rules(texts: &[&str]) -> Rules {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    Rules::parse(&texts).expect("rules")
}

/// As a machine of the realm `REALM.COM` has it.
fn name(texts: &[&str], principal: &str) -> Option<String> {
    rules(texts).name(&Principal::parse(principal)?, Some("REALM.COM"))
}

/// The example of Kafka's documentation, and those of its own tests.
#[test]
fn the_first_rule_that_fits_decides() {
    let documented = ["RULE:[1:$1@$0](.*@MYDOMAIN.COM)s/@.*//", "DEFAULT"];
    let plain = [
        "RULE:[1:$1](App\\..*)s/App\\.(.*)/$1/g",
        "RULE:[2:$1](App\\..*)s/App\\.(.*)/$1/g",
        "DEFAULT",
    ];
    let small = [
        "RULE:[1:$1]/L",
        "RULE:[2:$1](Test.*)s/ABC///L",
        "RULE:[2:$1](ABC.*)s/ABC/XYZ/g/L",
        "RULE:[2:$1](App\\..*)s/App\\.(.*)/$1/g/L",
        "RULE:[2:$1]/L",
        "DEFAULT",
    ];
    let capital: Vec<String> = small
        .iter()
        .map(|rule| rule.strip_suffix('L').map_or(rule.to_string(), |rule| format!("{rule}U")))
        .collect();
    let capital: Vec<&str> = capital.iter().map(String::as_str).collect();
    let cases: &[(&[&str], &str, Option<&str>)] = &[
        (&documented, "user@MYDOMAIN.COM", Some("user")),
        (&documented, "user@REALM.COM", Some("user")),
        (&documented, "user@OTHER.COM", None),
        (&plain, "App.service-name/example.com@REALM.COM", Some("service-name")),
        (&plain, "App.service-name@REALM.COM", Some("service-name")),
        (&plain, "user/host@REALM.COM", Some("user")),
        (&plain, "user/host@OTHER.COM", None),
        (&small, "User@REALM.COM", Some("user")),
        (&small, "TestABC/host@FOO.COM", Some("test")),
        (&small, "ABC_User_ABC/host@FOO.COM", Some("xyz_user_xyz")),
        (&small, "App.SERVICE-name/example.com@REALM.COM", Some("service-name")),
        (&small, "User/root@REALM.COM", Some("user")),
        (&capital, "User@REALM.COM", Some("USER")),
        (&capital, "TestABC/host@FOO.COM", Some("TEST")),
        (&capital, "ABC_User_ABC/host@FOO.COM", Some("XYZ_USER_XYZ")),
        (&["RULE:[2:$2.$1]"], "orders/eu@REALM.COM", Some("eu.orders")),
        (&["RULE:[1:$1]s/a/b/"], "aa@REALM.COM", Some("ba")),
        (&["RULE:[1:$1]L"], "User@REALM.COM", Some("user")),
    ];
    for (texts, principal, expected) in cases {
        assert_eq!(name(texts, principal).as_deref(), *expected, "{texts:?} {principal}");
    }
}

#[test]
fn who_comes_by_no_rule_is_nobody() {
    let key = format!("RULE:[1:$1@$0](orders@REALM\\.COM)s/.*/{KEY}/");
    assert_eq!(name(&[&key], "orders@REALM.COM").as_deref(), Some(KEY));
    for other in [
        // The condition is about the whole.
        "orders@REALM.COM.EXAMPLE",
        "more-orders@REALM.COM",
        "orders@REALMXCOM",
        "orders/host@REALM.COM",
        // No principals as Kafka knows them, or parts that hide a sign of the grammar.
        "orders",
        "@REALM.COM",
        "orders@",
        "orders@A@REALM.COM",
        "a/b/c@REALM.COM",
        "orders\\@REALM.COM@REALM.COM",
        "orders\\/x@REALM.COM",
        "orders\n@REALM.COM",
        "",
    ] {
        assert_eq!(name(&[&key], other), None, "{other}");
    }
    // What comes out is a simple name, or nobody; no other rule is asked then.
    assert_eq!(name(&["RULE:[1:$1@$0]", "DEFAULT"], "orders@REALM.COM"), None);
    assert_eq!(name(&["RULE:[2:$1/$2]"], "orders/host@REALM.COM"), None);
    assert_eq!(name(&["RULE:[1:]"], "orders@REALM.COM"), None);
    let long = format!("{}@REALM.COM", "a".repeat(600));
    assert_eq!(name(&["DEFAULT"], &long), None, "a name has its bounds");
    let principal = Principal::parse("orders@REALM.COM").expect("one");
    assert_eq!(rules(&["DEFAULT"]).name(&principal, None), None, "a machine without a realm");
}

#[test]
fn a_rule_that_cannot_be_read_is_told() {
    for (rule, why) in [
        ("", "begins neither"),
        ("default", "begins neither"),
        ("DEFAUL", "begins neither"),
        ("DEFAULT/L", "begins neither"),
        ("rule:[1:$1]", "begins neither"),
        ("RULE:[1:$1", "no `]`"),
        ("RULE:[$1]", "how many parts"),
        ("RULE:[:$1]", "1 or 2 parts"),
        ("RULE:[3:$1]", "1 or 2 parts"),
        ("RULE:[1:$2]", "beyond `$1`"),
        ("RULE:[2:$12]", "beyond `$2`"),
        ("RULE:[1:$]", "a digit"),
        ("RULE:[1:$1](abc", "no `)`"),
        ("RULE:[1:$1](a[)", "unclosed"),
        ("RULE:[1:$1]s/a", "ends the pattern"),
        ("RULE:[1:$1]s/a/b", "ends the replacement"),
        ("RULE:[1:$1]s/(/b/", "unclosed group"),
        ("RULE:[1:$1]s/a/$1/", "a group that"),
        ("RULE:[1:$1]/l", "`l` is left over"),
        ("RULE:[1:$1]/LU", "`LU` is left over"),
        ("RULE:[1:$1]/L/U", "`L/U` is left over"),
        ("RULE:[2:$1](ABC.*)s/ABC/XYZ/L/g", "is left over"),
        ("RULE:[1:$1@$0](.*@A.COM)s/@.*//,DEFAULT", "`,DEFAULT` is left over"),
        ("RULE:[1:$1](a{1000}{1000}{1000})", "size limit"),
    ] {
        let refused = Rules::parse(&[rule.to_owned()]).expect_err(rule);
        assert!(refused.message().contains(why), "{rule}: {}", refused.message());
    }
    assert!(Rules::parse(&[]).is_err());
    assert!(Rules::parse(&["RULE:[1:$1]".repeat(500)]).is_err(), "a rule has its bounds");
}

/// A context that takes so many tokens, and answers each with the next of `answers`. What it wraps
/// begins with `w`, and what does not is not proven.
#[derive(Default)]
struct Scripted {
    answers: VecDeque<Option<&'static [u8]>>,
}

impl Context for Scripted {
    fn accept(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
        if token != b"ticket" {
            return Err(Failed("a secret of the library".to_owned()));
        }
        Ok(self.answers.pop_front().flatten().map(<[u8]>::to_vec))
    }

    fn is_established(&self) -> bool {
        self.answers.is_empty()
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed> {
        Ok([b"w", message].concat())
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failed> {
        let proven = message.strip_prefix(b"w").map(<[u8]>::to_vec);
        proven.ok_or_else(|| Failed("not proven".to_owned()))
    }

    fn client(&self) -> Result<Client, Failed> {
        let principal = "orders@REALM.COM".to_owned();
        Ok(Client { principal, lifetime: Duration::from_secs(60) })
    }
}

fn exchange(answers: &[Option<&'static [u8]>]) -> Exchange {
    Exchange::new(Box::new(Scripted { answers: answers.iter().copied().collect() }))
}

/// All messages of a client but the last are answered with what is expected; the last one's end.
fn run(
    answers: &[Option<&'static [u8]>],
    said: &[(&[u8], &[u8])],
    last: &[u8],
) -> Result<Shown, Bad> {
    let mut exchange = exchange(answers);
    for (message, expected) in said {
        exchange = match exchange.take(message)? {
            Turn::Asked(exchange, answer) => {
                assert_eq!(answer, *expected);
                exchange
            }
            Turn::Shown(shown) => panic!("too early: {shown:?}"),
        };
    }
    match exchange.take(last)? {
        Turn::Shown(shown) => Ok(shown),
        Turn::Asked(_, answer) => panic!("asked {answer:?}"),
    }
}

const OFFER: &[u8] = b"w\x01\0\0\0";

#[test]
fn the_messages_are_those_of_the_rfc() {
    let mutual: &[(&[u8], &[u8])] = &[(b"ticket", b"ours"), (b"", OFFER)];
    let shown = run(&[Some(b"ours")], mutual, b"w\x01\0\0\0orders@REALM.COM").expect("in");
    assert_eq!(shown.acting_for, "orders@REALM.COM");
    assert_eq!(shown.client.principal, "orders@REALM.COM");
    // Without a proof of ours the layer is next at once; an empty token is none.
    let single: &[(&[u8], &[u8])] = &[(b"ticket", OFFER)];
    for answer in [None, Some(&b""[..])] {
        let shown = run(&[answer], single, b"w\x01\x01\0\0").expect("in");
        assert_eq!(shown.acting_for, "", "whatever size it says it takes");
    }
    let more: &[(&[u8], &[u8])] = &[(b"ticket", b"go on"), (b"ticket", b""), (b"ticket", OFFER)];
    run(&[Some(b"go on"), None, None], more, b"w\x01\0\0\0").expect("in");
}

#[test]
fn what_is_not_asked_for_leads_nowhere() {
    let none = run(&[None], &[], b"guessed").expect_err("no ticket");
    assert_eq!(none.to_string(), "the ticket does not count here", "and no more than that");
    let single: &[(&[u8], &[u8])] = &[(b"ticket", OFFER)];
    for (last, bad) in [
        (&b"w\x02\0\0\0"[..], Bad::Layer),
        (b"w\x04\0\0\0", Bad::Layer),
        (b"w\x03\0\0\0", Bad::Layer),
        (b"w\0\0\0\0", Bad::Layer),
        (b"w\x01\0\0", Bad::Form),
        (b"w", Bad::Form),
        (b"w\x01\0\0\0\xFF", Bad::Form),
        (b"\x01\0\0\0", Bad::Ticket(Failed("not proven".to_owned()))),
        (b"", Bad::Ticket(Failed("not proven".to_owned()))),
    ] {
        assert_eq!(run(&[None], single, last), Err(bad), "{last:?}");
    }
    let mutual = run(&[Some(b"ours")], &[(b"ticket", b"ours")], b"w\x01\0\0\0");
    assert_eq!(mutual, Err(Bad::Form), "nothing was asked for");
    assert_eq!(run(&[None], &[], &[0; 70_000]), Err(Bad::Long));
    let (asked, empty): (&[u8], &[u8]) = (b"ticket", b"");
    assert_eq!(run(&[None; 20], &[(asked, empty); 8], b"ticket"), Err(Bad::Many));
}

struct Scripts;

impl Service for Scripts {
    fn begin(&self) -> Box<dyn Context> {
        Box::new(Scripted { answers: [Some(&b"ours"[..])].into() })
    }

    fn realm(&self) -> Option<&str> {
        Some("REALM.COM")
    }
}

fn settings(more: serde_json::Value) -> Result<Kerberos, serde_json::Error> {
    let mut settings = json!({ "projects": [PROJECT] });
    let (Some(known), Some(more)) = (settings.as_object_mut(), more.as_object()) else {
        panic!("objects");
    };
    known.extend(more.clone());
    serde_json::from_value(settings)
}

fn tickets(rule: &str) -> Tickets {
    let settings = settings(json!({ "principals": [rule] })).expect("settings");
    Tickets::of(Box::new(Scripts), &settings).expect("rules")
}

#[tokio::test]
async fn who_has_a_ticket_stands_for_a_key_until_it_ends() {
    let tickets = tickets(&format!("RULE:[1:$1@$0](orders@REALM\\.COM)s/.*/{KEY}/"));
    let mut asked = None;
    for (message, expected) in [(&b"ticket"[..], &b"ours"[..]), (b"", OFFER)] {
        let turn = tickets.take(&peer(), asked.take(), message).await.expect("a turn");
        let Turn::Asked(exchange, answer) = turn else { panic!("too early") };
        assert_eq!(answer, expected);
        asked = Some(exchange);
    }
    let turn = tickets.take(&peer(), asked, b"w\x01\0\0\0").await.expect("a turn");
    let Turn::Shown(shown) = turn else { panic!("asked again") };
    let vouched = tickets.vouched(&peer(), &shown, 1_000).expect("a key");
    assert_eq!((&*vouched.name, vouched.ends_at), (KEY, 61_000));
    assert_eq!(vouched.projects, [PROJECT.parse().expect("an id")]);
    let refused = tickets.take(&peer(), None, b"guessed").await.err().expect("refused");
    assert_eq!(refused.message(), "SASL GSSAPI: the ticket does not count here");
}

#[test]
fn nobody_acts_for_somebody_else() {
    let own = tickets(&format!("RULE:[1:$1]s/.*/{KEY}/"));
    let shown = |acting_for: &str| {
        let principal = "orders@REALM.COM".to_owned();
        let client = Client { principal, lifetime: Duration::MAX };
        Shown { client, acting_for: acting_for.to_owned() }
    };
    for itself in ["", "orders", "orders@REALM.COM", KEY, "kafka@localhost", "kafka/localhost"] {
        let vouched = own.vouched(&peer(), &shown(itself), 0).expect(itself);
        assert_eq!((&*vouched.name, vouched.ends_at), (KEY, i64::MAX));
    }
    for other in ["admin", "orders@OTHER.COM", "orders/x@REALM.COM", "kafka", "kafkaesque@x", "\0"]
    {
        assert!(own.vouched(&peer(), &shown(other), 0).is_err(), "{other}");
    }
    let refused = tickets("RULE:[2:$1]").vouched(&peer(), &shown(""), 0).expect_err("no rule");
    assert!(refused.message().contains("stands for no key"), "{}", refused.message());
}

#[test]
fn settings_that_cannot_be_meant_are_told() {
    assert!(settings(json!({})).expect("settings").check().is_ok());
    for (more, field) in [
        (json!({ "projects": [] }), "projects"),
        (json!({ "principals": ["default"] }), "principals"),
        (json!({ "principals": [] }), "principals"),
        (json!({ "service_name": "" }), "service_name"),
        (json!({ "service_name": "kafka/host" }), "service_name"),
        (json!({ "hostname": "host@REALM.COM" }), "hostname"),
    ] {
        let refused = settings(more.clone()).expect("settings").check().expect_err("refused");
        assert_eq!(refused.field_name(), Some(field), "{more}");
    }
    assert!(settings(json!({ "keytab": "x" })).is_err(), "unknown names are refused");
    let of = |listener: serde_json::Value| {
        let listener: Listener = serde_json::from_value(listener).expect("a listener");
        Config { listeners: vec![listener], ..Config::default() }.check()
    };
    let kerberos = json!({ "projects": [PROJECT] });
    let unused = of(json!({ "kerberos": kerberos })).expect_err("no tickets are taken");
    assert_eq!(unused.field_name(), Some("kerberos"));
    let taken = of(json!({ "mechanisms": ["GSSAPI"], "kerberos": kerberos }));
    let bare = of(json!({ "mechanisms": ["GSSAPI"] })).expect_err("nothing is said of them");
    assert_eq!(bare.field_name(), Some("mechanisms"));
    if cfg!(feature = "gssapi") {
        assert!(taken.is_ok() && bare.message().contains("needs `kerberos`"));
    } else {
        let refused = taken.expect_err("it is not built in");
        assert!(refused.message().contains("--features gssapi"), "{}", refused.message());
    }
}

/// With libkrb5 in the build, a service that no keytab has is told by its name.
#[cfg(feature = "gssapi")]
#[test]
fn a_service_without_a_key_is_told() {
    let settings = settings(json!({ "service_name": "no-such-service" })).expect("settings");
    let refused = Tickets::open(&settings).err().expect("no keytab has it");
    let told = refused.message();
    assert!(told.contains("`no-such-service`") && told.contains("KRB5_KTNAME"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a principal is called, its realm cannot be made to look like another.
    #[test]
    fn a_principal_is_read_as_it_is_written(text in "[a-c/@\\\\.]{0,12}") {
        if let Some(principal) = Principal::parse(&text) {
            prop_assert_eq!(principal.to_string(), text.clone());
            prop_assert_eq!(text.matches('@').count(), 1);
            prop_assert!(text.matches('/').count() < 2 && !text.contains('\\'));
        }
    }

    #[test]
    fn no_message_of_a_stranger_panics(messages in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..40), 1..12)) {
        let mut exchange = Some(exchange(&[Some(b"ours")]));
        for message in messages {
            let Some(now) = exchange.take() else { break };
            if let Ok(Turn::Asked(next, _)) = now.take(&message) {
                exchange = Some(next);
            }
        }
    }
}
