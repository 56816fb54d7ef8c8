//! TLS on both ports: HTTP/2 by negotiation and HTTP/1.1, publishing and following.

use crate::stand::got::{Got, Sent};
use crate::stand::server::Home;
use crate::stand::sse::Stream;
use reqwest::{Client, ClientBuilder, Version};
use serde_json::{Value, json};

/// Trusts any certificate: that of the server is made anew at each start.
fn trusting() -> ClientBuilder {
    Client::builder().danger_accept_invalid_certs(true)
}

#[tokio::test]
async fn both_versions_of_http_work_over_tls() {
    let home =
        Home::new(&json!({ "edge": { "tls": { "self_signed": { "names": ["localhost"] } } } }));
    let server = home.start();
    let url = format!("https://{}", server.authority());
    let admin = server.admin_over(
        &server.admin_url.replacen("http", "https", 1),
        trusting().build().expect("a client"),
    );
    let (_, key) = admin.furnished().await;
    let versions = [
        (trusting().build().expect("a client"), Version::HTTP_2),
        (trusting().http1_only().build().expect("a client"), Version::HTTP_11),
    ];
    for (n, (client, version)) in versions.iter().enumerate() {
        let view = Sent::json("t", "key", json!({ "n": n })).view();
        let request = client.post(format!("{url}/v1/events")).bearer_auth(&key.secret);
        let answer = request.json(&view).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, *version));
        let path = format!("{url}/v1/sse?topics=t&from=offset:{n}");
        let request = client.get(path).bearer_auth(&key.secret);
        let mut stream = Stream::try_open(request).await.expect("a stream");
        assert_eq!(stream.record().await.data()["n"], n);
        let path = format!("{url}/v1/topics/t/records?from=offset:{n}");
        let answer = client.get(path).bearer_auth(&key.secret).send().await.expect("an answer");
        let page: Value = answer.json().await.expect("JSON");
        assert_eq!(Got::from_view(&page["records"][0]).data()["n"], n);
    }
    // Plain text on the same port is no request.
    let plain = Client::new().get(format!("{}/readyz", server.url)).send().await;
    assert!(plain.is_err(), "{plain:?}");
}
