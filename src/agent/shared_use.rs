//! What sockets share with the agents of a manager: addresses, certificates, and whether there is a
//! proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use ureq::http::Uri;
use ureq::tls::RootCerts;

use super::AgentManager;

impl AgentManager {
    /// The addresses of a host, a name or an IP address, from the agents' cache. Blocks for at most
    /// `limit`.
    pub(crate) fn addresses(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> io::Result<Vec<SocketAddr>> {
        self.shared.resolver.addresses(host, port, limit)
    }

    /// No connection could be made there: perhaps it is somewhere else by now.
    pub(crate) fn doubt(&self, host: &str) {
        self.shared.resolver.forget(host);
    }

    /// Whether the agents would reach a host through a proxy.
    pub(crate) fn has_proxy_for(&self, secure: bool, host: &str) -> bool {
        let Some(proxy) = self.shared.ureq.proxy() else { return false };
        let scheme = if secure { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let uri = Uri::builder().scheme(scheme).authority(host).path_and_query("/").build();
        !uri.is_ok_and(|uri| proxy.is_no_proxy(&uri))
    }

    /// The TLS configuration of sockets, which trusts whom the agents trust. Made once, since
    /// `ureq` keeps its own to itself; tickets are thus shared among sockets.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let tls = &self.shared.tls;
        if let Some(config) = tls.get() {
            return Ok(config.clone());
        }
        let made = Arc::new(self.make_tls().map_err(|error| error.to_string())?);
        // Another may have been quicker; then all have that.
        Ok(tls.get_or_init(|| made).clone())
    }

    /// `AgentConfig` has no other settings of TLS; one that came to be would have to be heeded here.
    fn make_tls(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let tls = self.shared.ureq.tls_config();
        let other = tls.client_cert().is_some() || tls.disable_verification() || !tls.use_sni();
        match tls.root_certs() {
            _ if other => return Err(not_of_sockets()),
            RootCerts::Specific(certs) => {
                let certs = certs.iter().map(|cert| CertificateDer::from(cert.der()));
                roots.add_parsable_certificates(certs);
            }
            RootCerts::WebPki => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            _ => return Err(not_of_sockets()),
        }
        // The one that `ureq` takes.
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn not_of_sockets() -> rustls::Error {
    rustls::Error::General("the agents have TLS settings that sockets do not know".to_owned())
}
