//! A listener that speaks TLS before a real server that does not: what a load balancer does.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Issued;

pub struct TlsFront {
    pub port: u16,
    serving: tokio::task::JoinHandle<()>,
}

impl TlsFront {
    /// Before the server of this address (`http://host:port`).
    pub async fn before(server: &str, issued: &Issued) -> TlsFront {
        TlsFront::listen(0, server, issued).await
    }

    /// On the same port with another certificate; connections that are open break.
    pub async fn replace(mut self, server: &str, issued: &Issued) -> TlsFront {
        self.serving.abort();
        // the listener is closed once its task is gone
        let _aborted = (&mut self.serving).await;
        TlsFront::listen(self.port, server, issued).await
    }

    async fn listen(port: u16, server: &str, issued: &Issued) -> TlsFront {
        let server = server.trim_start_matches("http://").to_owned();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_file_iter(&issued.certificate).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            // dropped with this task, and every connection with it
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), server.clone());
                connections.spawn(async move {
                    // a client that goes away in the handshake is what some tests are about
                    let Ok(mut client) = acceptor.accept(socket).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        TlsFront { port, serving }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
