//! Each check as a row: the smallest change of good facts that it must find, and nothing else.

mod activity;
mod certificate;
mod configuration;
mod records;
