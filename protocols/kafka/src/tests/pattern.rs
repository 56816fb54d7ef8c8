//! Expressions of clients.

use crate::pattern::whole;

#[test]
fn an_expression_is_about_the_whole_text() {
    let check = |text: &str, name: &str, expected: bool| {
        assert_eq!(whole(text).expect(text).is_match(name), expected, "{text} {name}");
    };
    check("orders", "orders", true);
    check("orders", "orders-eu", false);
    check("a|b", "b", true);
    check("a|b", "ab", false);
    check("orders.*", "orders-eu\n", false);
}

#[test]
fn what_is_none_or_too_large_is_told() {
    for text in ["a)|(b", "(", "[", "(?x) a #", "(a{1000}){1000}", &"a".repeat(1_001)] {
        assert!(whole(text).is_err(), "{text}");
    }
}
