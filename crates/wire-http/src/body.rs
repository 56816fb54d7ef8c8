//! Reads a request body up to a limit, so that no client decides how much memory it takes. It must
//! not know what the bytes mean.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError};
use port::{Code, Refusal};
use std::error::Error;

/// The whole body.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` as soon as it is longer than `bytes_max`, or than a limit already laid
/// around the body; what has been read is dropped.
/// `INVALID_REQUEST` when the client breaks off.
pub async fn read_body(mut body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let hint = http_body::Body::size_hint(&body);
    if hint.lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large(bytes_max));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        // Trailers carry nothing we read.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if whole.is_empty() && first.is_empty() {
            // Most bodies are one frame, which is then used without a copy.
            first = data;
            continue;
        }
        if whole.is_empty() {
            let announced = usize::try_from(hint.lower()).unwrap_or(0).min(bytes_max);
            whole.reserve(announced.max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// A limit around the body cuts it with an error of its own, wrapped by whatever lies between.
fn broken(error: &(dyn Error + 'static)) -> Refusal {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            // That limit is not ours, and its error does not say how much it is.
            return Refusal::new(Code::PayloadTooLarge, "the request body is larger than allowed")
                .hint("split the request");
        }
        cause = error.source();
    }
    Refusal::new(Code::InvalidRequest, "the request body broke off before its end")
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, "the request body is larger than allowed")
        .hint(format!("at most {bytes_max} bytes; split the request"))
}
