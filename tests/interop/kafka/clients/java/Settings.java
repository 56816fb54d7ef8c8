// What the environment tells about the way in, in the names of Kafka's own configuration.

import java.util.Map;
import java.util.Properties;

final class Settings {
    static final Map<String, String> TOLD = System.getenv();
    static final String MODULES = "org.apache.kafka.common.security.";

    private Settings() {}

    static Properties base() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", TOLD.get("BOOTSTRAP"));
        settings.put("security.protocol", TOLD.get("SECURITY_PROTOCOL"));
        String mechanism = TOLD.get("MECHANISM");
        if (!mechanism.isEmpty()) {
            settings.put("sasl.mechanism", mechanism);
            settings.put("sasl.jaas.config", module(mechanism));
        }
        if (TOLD.containsKey("TOKEN_FILE")) {
            String url = "file://" + TOLD.get("TOKEN_FILE");
            System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", url);
            System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.files",
                TOLD.get("TOKEN_FILE"));
            settings.put("sasl.oauthbearer.token.endpoint.url", url);
            settings.put("sasl.login.callback.handler.class",
                MODULES + "oauthbearer.OAuthBearerLoginCallbackHandler");
        }
        if (TOLD.containsKey("KEYTAB")) {
            System.setProperty("java.security.krb5.conf", TOLD.get("KRB5_CONFIG"));
            settings.put("sasl.kerberos.service.name", TOLD.get("SERVICE"));
        }
        certificates(settings);
        return settings;
    }

    private static String module(String mechanism) {
        if (mechanism.equals("OAUTHBEARER")) {
            return MODULES + "oauthbearer.OAuthBearerLoginModule required;";
        }
        if (mechanism.equals("GSSAPI")) {
            return "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true"
                + " storeKey=true keyTab=\"" + TOLD.get("KEYTAB")
                + "\" principal=\"" + TOLD.get("PRINCIPAL") + "\";";
        }
        String kind = mechanism.equals("PLAIN") ? "plain.Plain" : "scram.Scram";
        return MODULES + kind + "LoginModule required username=\"" + TOLD.get("USERNAME")
            + "\" password=\"" + TOLD.get("PASSWORD") + "\";";
    }

    private static void certificates(Properties settings) {
        if (TOLD.containsKey("CA")) {
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", TOLD.get("CA"));
        }
        if (TOLD.containsKey("KEY_AND_CERTIFICATE")) {
            settings.put("ssl.keystore.type", "PEM");
            settings.put("ssl.keystore.location", TOLD.get("KEY_AND_CERTIFICATE"));
        }
    }

    static Properties producer() {
        Properties settings = base();
        String text = "org.apache.kafka.common.serialization.StringSerializer";
        settings.put("key.serializer", text);
        settings.put("value.serializer", text);
        settings.put("compression.type", "zstd");
        return settings;
    }

    static Properties consumer(String group) {
        Properties settings = base();
        String text = "org.apache.kafka.common.serialization.StringDeserializer";
        settings.put("key.deserializer", text);
        settings.put("value.deserializer", text);
        settings.put("group.id", group);
        settings.put("auto.offset.reset", "earliest");
        settings.put("isolation.level", TOLD.getOrDefault("ISOLATION", "read_uncommitted"));
        String protocol = TOLD.getOrDefault("GROUP_PROTOCOL", "classic");
        settings.put("group.protocol", protocol);
        if (protocol.equals("classic")) {
            settings.put("session.timeout.ms", "6000");
            settings.put("heartbeat.interval.ms", "1000");
        }
        return settings;
    }
}
