//! What a configuration allows and a careful operator would not: told when one is checked, never
//! refused.

use super::{Config, ConfigError};

/// One sentence per key; none for what is as safe as by default.
pub fn advice(config: &Config) -> Vec<ConfigError> {
    let mut found = Vec::new();
    let mut say = |is_unwise: bool, key: &str, text: &str| {
        if is_unwise {
            found.push(ConfigError::about(key, text));
        }
    };
    let edge = &config.edge;
    let has_tls = edge.tls.is_some();
    let is_open = |address: std::net::SocketAddr| !address.ip().is_loopback();
    say(
        edge.admin_listen.is_some_and(is_open) && !has_tls,
        "edge.admin_listen",
        "passwords and tokens reach the admin API in plain text: set edge.tls, or a proxy with TLS",
    );
    say(
        is_open(edge.listen) && !has_tls,
        "edge.listen",
        "keys and records travel in plain text: set edge.tls, or a proxy with TLS",
    );
    say(
        config.telemetry.metrics_public,
        "telemetry.metrics_public",
        "whoever reaches the public port reads the figures of every tenant",
    );
    say(
        config.webhooks.plain_http_allowed,
        "webhooks.plain_http_allowed",
        "records leave in plain text",
    );
    say(
        !config.webhooks.allow_networks.is_empty(),
        "webhooks.allow_networks",
        "tenants can make the server ask addresses within these networks",
    );
    let rate = &config.admin.rate;
    say(
        rate.address_per_second_max == 0,
        "admin.rate.address_per_second_max",
        "nothing slows somebody who guesses tokens",
    );
    say(
        config.mail.folder.is_some(),
        "mail.folder",
        "letters with links to passwords lie in a folder",
    );
    found
}
