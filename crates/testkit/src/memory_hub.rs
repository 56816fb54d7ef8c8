//! memory_hub
