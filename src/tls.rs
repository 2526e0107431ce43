//! One TLS provider for the whole process: ring.

/// To be called before the first HTTP client is made; calling it again changes nothing.
pub fn install() {
    // an error means that it is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
}
