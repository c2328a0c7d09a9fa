//! What clients of AWS need, at AWS or elsewhere.

use std::error::Error;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::config::http::HttpRequest;
use aws_sdk_kinesis::config::{Credentials, ProvideCredentials, Region, SharedHttpClient};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::failure::Failure;

/// What clients of AWS have in common: as the environment describes it, or for another endpoint.
pub(crate) async fn config(endpoint_url: Option<&str>, region: Option<&str>) -> Result<SdkConfig, Failure> {
    match endpoint_url {
        Some(url) if is_loopback(&checked(url)?) => Ok(loopback_config(url, region)),
        other => environment_config(other, region).await,
    }
}

/// The same for an endpoint on this machine, which takes any signature.
pub(crate) fn loopback_config(url: &str, region: Option<&str>) -> SdkConfig {
    let credentials = Credentials::new("loopback", "loopback", None, None, "loopback");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.unwrap_or("us-east-1").to_owned()))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(if url.starts_with("https:") { https_client() } else { http_client() })
        .build()
}

async fn environment_config(endpoint_url: Option<&str>, region: Option<&str>) -> Result<SdkConfig, Failure> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https_client());
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(Failure::new("no AWS region is set: pass --region, or set AWS_REGION"));
    }
    if let Some(provider) = config.credentials_provider() {
        // Asked for here, because a request that lacks them would only say that it could not be sent.
        provider.provide_credentials().await.map_err(|error| no_credentials(&error))?;
    }
    Ok(config)
}

/// Where none are configured, all the places that were looked at say so at length; only other reasons are worth telling.
fn no_credentials(error: &CredentialsError) -> Failure {
    let reason = match error {
        CredentialsError::CredentialsNotLoaded(_) => String::new(),
        _ => {
            let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |error| Error::source(*error));
            format!(" ({})", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
        }
    };
    Failure::new(format!(
        "no AWS credentials were found{reason}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    ))
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

fn https_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The host of a URL that an SDK can use.
fn checked(url: &str) -> Result<String, Failure> {
    let refused = || Failure::new(format!("{url:?} is no endpoint URL: write http://HOST:PORT or https://HOST"));
    // The client's own notion of a URL is the one that counts.
    let mut request = HttpRequest::empty();
    request.set_uri(url.to_owned()).map_err(|_| refused())?;
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or_else(refused)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() { Err(refused()) } else { Ok(host.to_owned()) }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_this_machine_go_without_credentials() {
        for (url, expected) in [
            ("http://127.0.0.1:4567", true),
            ("http://localhost/", true),
            ("http://[::1]:4567", true),
            ("https://kinesis.example", false),
            ("http://127.0.0.1.example:80", false),
        ] {
            assert_eq!(is_loopback(&checked(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in ["", "127.0.0.1:4567", "ftp://host", "http://", "http://a b", "https:///path"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
