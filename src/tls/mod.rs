//! TLS to everything but Kafka, by one provider: ring. (librdkafka brings OpenSSL.)
//!
//! | file       | what it holds                                            |
//! |------------|----------------------------------------------------------|
//! | `roots`    | whose signatures are believed                            |
//! | `postgres` | libpq's modes, two of which look at no certificate        |
//! | `distrust` | why a peer is not believed, in words, with what to set   |

pub mod distrust;
pub mod postgres;
mod roots;

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

pub use distrust::{Distrust, Settings};

use crate::error::{Error, Kind, Result};

/// To be called before the first HTTP client is made; calling it again changes nothing.
pub fn install() {
    // an error means that it is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// For a server whose certificate is signed by a CA of this file, or of the system, and holds the server's name.
pub fn client(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let roots = match ca_file {
        Some(file) => roots::of_file(file)?,
        None => roots::of_system(),
    };
    Ok(builder()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "no version of TLS").because(error))
}
