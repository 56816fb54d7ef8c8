//! HTTP/1.1 and HTTP/2 by hyper, behind our limits and with one shape of error. It must not know a
//! route beyond `/openapi.json`: they come with the mounts.

pub mod answer;
pub mod bare;
pub mod body;
pub mod carrier;
pub mod io;
pub mod request;
pub mod router;
pub mod serve;
