//! From certificates to names, as Kafka's rules have it.

use crate::principal::Rules;

fn name(rules: &[&str], text: &str) -> Option<String> {
    let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
    Rules::parse(&rules).expect("rules").name(text)
}

/// The examples of Kafka's documentation, and of its own tests.
#[test]
fn the_first_rule_that_fits_decides() {
    let documented = [
        "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/",
        "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L",
        "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L",
        "DEFAULT",
    ];
    for (subject, expected) in [
        ("CN=Duke,OU=ServiceUsers,O=Org,C=US", "Duke"),
        ("CN=duke,OU=JavaSoft,O=Sun,L=Here,ST=There,C=US", "duke@javasoft"),
        ("CN=DUKE,O=Sun", "duke"),
        ("OU=JavaSoft,O=Sun Microsystems,C=US", "OU=JavaSoft,O=Sun Microsystems,C=US"),
    ] {
        assert_eq!(name(&documented, subject).as_deref(), Some(expected), "{subject}");
    }
    assert_eq!(name(&["RULE:^CN=(.*)$/$1/U"], "CN=a").as_deref(), Some("A"));
    assert_eq!(name(&["RULE:cn\\/(.*)/a\\/$1/"], "cn/x").as_deref(), Some("a/x"));
    assert_eq!(name(&["RULE:(.)(.)/$2\\$$1/"], "ab").as_deref(), Some("b$a"));
}

#[test]
fn who_comes_by_no_rule_is_nobody() {
    let own = crate::config::ClientCertificates {
        ca: "ca".into(),
        revoked: None,
        required: false,
        projects: Vec::new(),
        named_by: crate::config::NamedBy::Subject,
        principals: serde_json::from_value::<crate::config::ClientCertificates>(
            serde_json::json!({ "ca": "ca", "projects": [] }),
        )
        .expect("settings")
        .principals,
    };
    let rules: Vec<&str> = own.principals.iter().map(String::as_str).collect();
    let key = "key_0123456789abcdef0123456789abcdef";
    assert_eq!(name(&rules, &format!("CN={key}")).as_deref(), Some(key));
    assert_eq!(name(&rules, &format!("CN={key},O=Example")).as_deref(), Some(key));
    for other in [
        format!("CN={key}0"),
        format!("CN={key}+UID=1"),
        format!("O=a\\,CN={key}"),
        format!("O=Example,CN={key}"),
        format!("cn={key}"),
        "CN=admin".to_owned(),
        String::new(),
    ] {
        assert_eq!(name(&rules, &other), None, "{other}");
    }
    assert_eq!(name(&["RULE:(.*)/$1/"], &"a".repeat(600)), None, "a name has its bounds");
}

#[test]
fn a_rule_that_cannot_be_read_is_told() {
    for (rule, why) in [
        ("", "begins neither"),
        ("CN=(.*)", "begins neither"),
        ("RULE:abc", "ends the pattern"),
        ("RULE:abc/x", "ends the replacement"),
        ("RULE:abc/x/M", "`L` or `U`"),
        ("RULE:(/x/", "unclosed group"),
        ("RULE:abc/$1/", "a group that"),
        ("RULE:(abc)/$x/", "a digit"),
        ("RULE:a{1000}{1000}{1000}/x/", "size limit"),
    ] {
        let refused = Rules::parse(&[rule.to_owned()]).expect_err(rule);
        assert!(refused.message().contains(why), "{rule}: {}", refused.message());
    }
    assert!(Rules::parse(&[]).is_err());
}
