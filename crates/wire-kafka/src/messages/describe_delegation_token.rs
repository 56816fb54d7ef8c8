//! DescribeDelegationToken (API key 41).

use crate::wire::message;
use bytes::Bytes;

message! {
    DescribeDelegationTokenRequest {
        owners: Option<Vec<DescribeDelegationTokenOwner>>;
    }

    DescribeDelegationTokenOwner {
        principal_type: String;
        principal_name: String;
    }

    DescribeDelegationTokenResponse {
        error_code: i16;
        tokens: Vec<DescribedDelegationToken>;
        throttle_time_ms: i32;
    }

    DescribedDelegationToken {
        principal_type: String;
        principal_name: String;
        token_requester_principal_type: String, [3..];
        token_requester_principal_name: String, [3..];
        issue_timestamp: i64;
        expiry_timestamp: i64;
        max_timestamp: i64;
        token_id: String;
        hmac: Bytes;
        renewers: Vec<DescribedDelegationTokenRenewer>;
    }

    DescribedDelegationTokenRenewer {
        principal_type: String;
        principal_name: String;
    }
}
