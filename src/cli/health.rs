//! `enroll health`, for the health checks of containers, which have no other program to ask with.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use super::output;
use crate::config::Settings;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the private listener, or without one the public one, whether the server should get requests.
pub(super) async fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    let address = reachable(settings.server.admin_address.unwrap_or(settings.server.address));
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let response = client.get(format!("http://{address}/readyz")).send().await?;
    let is_ready = response.status().is_success();
    output::line(response.text().await?.trim_end());
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who listens everywhere is asked at the loopback address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}
