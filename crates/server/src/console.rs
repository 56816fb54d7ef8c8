//! The console, embedded: built by `cargo xtask dev` (or `npm run build` in `console/`) before the
//! binary is. A binary built without it says how to get it.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

#[derive(rust_embed::RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Assets;

/// Nothing from elsewhere, nothing inline; connections to this origin only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const MISSING: &str = "The console is not built into this binary.\n\
    Run `cargo xtask dev`, or `npm ci && npm run build` in console/ and build again.\n";

pub fn routes() -> Router {
    Router::new().fallback(serve)
}

/// Files by their path; any other path that a browser navigates to is the application's own.
async fn serve(method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Assets::get(path) {
        // Vite names the files under assets/ by their content.
        let cache = if path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        return asset(file, cache);
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_page = accept.is_some_and(|accept| accept.contains("text/html"));
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
