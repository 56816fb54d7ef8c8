//! Against `stripe-mock`, Stripe's own server made from its OpenAPI document: it knows every
//! parameter by name and refuses others. `go install github.com/stripe/stripe-mock@latest`;
//! `STRIPE_MOCK` names the binary if it is not in the path. Where it is missing, the test says so.

use super::Rig;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tenancy::Actor;

struct Mock(Child);

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The mock and its URL; `None` where there is none.
async fn mock() -> Option<(Mock, String)> {
    let binary = std::env::var("STRIPE_MOCK").unwrap_or_else(|_| "stripe-mock".to_owned());
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound").port()
    };
    let child = Command::new(&binary)
        .args(["-http-port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        println!("`{binary}` is not installed: nothing is tested against Stripe's mock");
        return None;
    };
    let mock = Mock(child);
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..600 {
        looks.tick().await;
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some((mock, format!("http://127.0.0.1:{port}")));
        }
    }
    panic!("the mock does not listen");
}

#[tokio::test]
async fn stripes_own_mock_takes_every_request() {
    let Some((_mock, url)) = mock().await else { return };
    let mut rig = Rig::new(&url).await;
    // The mock reads its whole document at the first request.
    rig = rig.patient(&url);
    let by = Actor::system();
    let subscription = rig.billing.subscribe(rig.tenant, &by).await.expect("a subscription");
    assert!(subscription.starts_with("sub_"), "{subscription}");
    let tenant = rig.tenancy.tenant(rig.tenant).await.expect("a tenant");
    assert!(tenant.stripe_customer_id.is_some_and(|customer| customer.starts_with("cus_")));
    let again = rig.billing.subscribe(rig.tenant, &by).await.expect("the same");
    assert_eq!(again, subscription);
    let preview = rig.billing.preview(rig.tenant).await.expect("a preview");
    assert_eq!(preview.currency.len(), 3, "{preview:?}");
    rig.publish(super::START_MS, 7).await;
    rig.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(rig.billing.draft(24 * super::HOUR_MS).await.expect("drafted"), 1);
    let turn = rig.billing.turn().await.expect("a turn");
    assert_eq!((turn.sent, turn.waiting, turn.stuck), (1, 0, 0));
}
