//! The console, embedded: built by `cargo xtask dev` (or `npm run build` in `console/`) before the
//! binary is. A binary built without it says how to get it.

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

#[derive(rust_embed::RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Assets;

/// Nothing from elsewhere, nothing inline; connections to this origin only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const MISSING: &str = "The console is not built into this binary.\n\
    Run `cargo xtask dev`, or `npm ci && npm run build` in console/ and build again.\n";

/// How the page says which port it came from: the same files serve tenants and staff.
const FACE: &str = r#"name="mainstem-face" content="project""#;
const STAFF_FACE: &str = r#"name="mainstem-face" content="admin""#;

pub fn routes() -> Router {
    Router::new().fallback(serve)
}

/// The console for people who look after the installation, before the admin API: what a browser
/// navigates to is answered here, everything else there.
pub fn before(admin: Router) -> Router {
    admin.layer(middleware::from_fn(serve_staff))
}

async fn serve_staff(request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || path.starts_with("v1/") {
        return next.run(request).await;
    }
    if path.starts_with("assets/")
        && let Some(file) = Assets::get(path)
    {
        return asset(file, IMMUTABLE);
    }
    // Probes and scrapers do not ask for a page.
    match Assets::get("index.html") {
        Some(file) if wants_page(request.headers()) => staff_page(&file),
        _ => next.run(request).await,
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn staff_page(file: &rust_embed::EmbeddedFile) -> Response {
    let page = String::from_utf8_lossy(&file.data).replace(FACE, STAFF_FACE);
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    (headers, page).into_response()
}

/// Files by their path; any other path that a browser navigates to is the application's own.
async fn serve(method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Assets::get(path) {
        // Vite names the files under assets/ by their content.
        let cache = if path.starts_with("assets/") { IMMUTABLE } else { "no-cache" };
        return asset(file, cache);
    }
    let is_page = wants_page(&headers);
    let is_api = path.starts_with("v1/");
    match Assets::get("index.html") {
        Some(file) if is_page && !is_api => asset(file, "no-cache"),
        None if path.is_empty() => (StatusCode::NOT_FOUND, MISSING).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn asset(file: rust_embed::EmbeddedFile, cache: &'static str) -> Response {
    let kind = HeaderValue::from_str(file.metadata.mimetype())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    (headers, file.data.into_owned()).into_response()
}
