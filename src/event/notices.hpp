#pragma once
// The words that nodes and hub use about what is noticed: the JSON bodies of reports (up) and entries (down), as described structs.
// net/json_views.hpp reads and writes them. Readers at the hub use Unknown::ignore and check every length; see the limits.
// Times are microseconds UTC. Addresses and domains are canonical. Life: values.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::event {

// ---- up: reports (kind in brackets) ---------------------------------------------------------------------------------------------------

/// A sign beside the main one. group: identity, payload, harm, intelligence. kind: see docs/noticing.md ("Sign kinds").
struct Sign {
  std::string group, kind;
  std::int64_t at_us = 0;
  std::string detail;  // for people, at most 200 bytes, no mail content
};
BOOST_DESCRIBE_STRUCT(Sign, (), (group, kind, at_us, detail))
/// Signs that the sender's account is taken: each is a second sign for a sender notice of the 48 hours after it.
constexpr std::string_view kTakeoverSigns[] = {
    "odd_sign_in", "session_moved", "device_code", "far_country",           "sign_in_after_click",
    "risk_alert",  "new_app",       "new_secret",  "new_service_principal", "consent",
    "app_role",    "inbox_rule",    "forwarding",  "mailbox_permission",    "new_mfa_method",
    "new_device",  "app_sends"};
inline bool takeover_sign(std::string_view kind) {
  for (const std::string_view s : kTakeoverSigns)
    if (s == kind) return true;
  return false;
}

/// Message-IDs that went to one member domain.
struct ForDomain {
  std::string domain;
  std::int64_t mails = 0;
  std::vector<std::string> message_ids;  // of this part of the notice, at most 2,000
};
BOOST_DESCRIBE_STRUCT(ForDomain, (), (domain, mails, message_ids))

/// ["sender_notice"] A person's mailbox here sends near-same mail to many. A notice grows: part 1, 2, ... with the same id; counts are totals
/// so far, Message-IDs are new in this part. Noticed at the sender's own node.
struct SenderNotice {
  std::string id;
  std::int64_t part = 1;
  std::string sender;
  std::int64_t from_us = 0, to_us = 0, noticed_us = 0;
  std::int64_t mails = 0, recipients = 0, outside = 0;  // outside: mails to nobody's member domain
  std::int64_t usual = 0;                               // most recipients in a window in the last 30 days
  std::vector<ForDomain> to;
  std::vector<std::string> outside_domains;  // at most 200, most mails first
  std::vector<Sign> signs;                   // second signs known here so far
  std::string source;                        // which log told: message_trace, audit_log, mail_copy
  std::int64_t late_s = 0;                   // how late that log was
  std::string subject_hash, body_simhash;    // keyed; clustering at the hub
};
BOOST_DESCRIBE_STRUCT(SenderNotice, (),
                      (id, part, sender, from_us, to_us, noticed_us, mails, recipients, outside, usual, to,
                       outside_domains, signs, source, late_s, subject_hash, body_simhash))

/// ["takeover"] An account here looks taken: the chain so far. Sent again with the same id when it grows.
struct TakeoverNotice {
  std::string id, account;
  std::int64_t part = 1;
  std::int64_t first_us = 0, noticed_us = 0;
  std::string
      level;  // suspected (odd sign-in and one change), likely (chain of two bound by session), sure (with mass sending)
  std::vector<Sign> steps;
  std::string source;
  std::int64_t late_s = 0;
};
BOOST_DESCRIBE_STRUCT(TakeoverNotice, (), (id, account, part, first_us, noticed_us, level, steps, source, late_s))

/// ["burst"] A member's person mailbox fans out to many of ours, beyond its baseline. Noticed at a receiver's node.
struct BurstNotice {
  std::string id, sender;
  std::int64_t part = 1;
  std::int64_t from_us = 0, to_us = 0, noticed_us = 0;
  std::int64_t mails = 0, recipients = 0, usual = 0;
  std::vector<Sign> signs;
  std::string source;
  std::int64_t late_s = 0;
  std::string subject_hash, body_simhash;
};
BOOST_DESCRIBE_STRUCT(BurstNotice, (),
                      (id, sender, part, from_us, to_us, noticed_us, mails, recipients, usual, signs, source, late_s,
                       subject_hash, body_simhash))

/// ["harm"] Somebody clicked, reported, a vendor judged, an odd sign-in followed a click. About a sender's mail or a digest. Never by name.
struct HarmNotice {
  std::string id;
  Sign sign;
  std::optional<std::string> sender;  // of a member domain only
  std::optional<std::string> digest;
  std::optional<std::string> notice;  // of the sender notice whose mail it is about
  std::int64_t count = 1;
};
BOOST_DESCRIBE_STRUCT(HarmNotice, (), (id, sign, sender, digest, notice, count))

/// One thing never seen here in 90 days. digest: hex of 16 bytes, BLAKE2b keyed with the epoch's key; during overlap one for each epoch.
struct DigestItem {
  std::vector<std::string> digests;  // same order as DigestBatch::epochs
  std::string kind;                  // url, attachment
  std::int64_t first_us = 0;
  std::int64_t mails = 0;            // bucketed: 1, 2, 5, 10, 20, 50, 100, ...
  std::string sender_domain;         // a member's domain; empty: not of a member's person mailbox
  std::vector<std::string> support;  // keyed digests of host, sender, subject shape; they never trigger
  std::vector<Sign> signs;
};
BOOST_DESCRIBE_STRUCT(DigestItem, (), (digests, kind, first_us, mails, sender_domain, support, signs))
/// ["digest"]
struct DigestBatch {
  std::vector<std::int64_t> epochs;
  std::vector<DigestItem> items;  // at most 500
  std::int64_t left_out = 0;      // over the day's limit
};
BOOST_DESCRIBE_STRUCT(DigestBatch, (), (epochs, items, left_out))

/// ["revealed"] The answer to a reveal request. state: revealed, declined, asked (a person is asked), gone.
struct Revealed {
  std::string request, digest, state;
  std::string kind, scheme, host, path;  // path is masked; never query, fragment, long or random segments
  std::string file_name, sha256;         // of an attachment
  std::vector<std::string> sender_domains;
};
BOOST_DESCRIBE_STRUCT(Revealed, (),
                      (request, digest, state, kind, scheme, host, path, file_name, sha256, sender_domains))

/// ["warning_answer"] What this node can know of a warning. Sent again when it changes; counts, never names.
struct WarningAnswer {
  std::string warning;
  std::int64_t version = 1;
  std::string state;  // received, seen_here, not_seen, cannot_know, purged, failed
  std::int64_t hits = 0, recipients = 0, clicks = 0;
  std::int64_t first_hit_us = 0, warned_us = 0;
  std::int64_t purged = 0, purge_left = 0;      // mailboxes' copies
  std::int64_t emptied_us = 0;                  // when the last copy was gone
  std::optional<std::int64_t> list_fetched_us;  // a block list with its entries was last fetched from this node
  std::optional<std::int64_t> blocked_us;       // and first seen to block, or confirmed by a person
  std::optional<std::int64_t> ended_us;         // sessions of the accounts concerned were ended
  std::vector<std::string> looked_in;           // kinds of logs that were searched
  std::vector<std::string> cannot_see;          // and those that are missing here
  std::string by;                               // machine, or "person"
};
BOOST_DESCRIBE_STRUCT(WarningAnswer, (),
                      (warning, version, state, hits, recipients, clicks, first_hit_us, warned_us, purged, purge_left,
                       emptied_us, list_fetched_us, blocked_us, ended_us, looked_in, cannot_see, by))

/// ["block_preview"] What an entry would have hit here in its history.
struct PreviewAnswer {
  std::string preview;
  std::int64_t hits = 0, people = 0, days = 0;
  std::string can;  // path, host, nothing
};
BOOST_DESCRIBE_STRUCT(PreviewAnswer, (), (preview, hits, people, days, can))

/// ["block_state"] What became of an entry of the block list here, and what it has hit since. Sent when it comes, then while it is young.
struct BlockState {
  std::string id;
  std::string state;  // in_force, refused (never-block), allowed (a person here lets it through), killed, gone
  std::string why;
  std::int64_t hits = 0, people = 0, since_us = 0;
  bool looked = false;  // hits and people were counted
};
BOOST_DESCRIBE_STRUCT(BlockState, (), (id, state, why, hits, people, since_us, looked))

/// ["exposed"] Answer to a question about a vulnerable product (mission 4.6).
struct ExposedAnswer {
  std::string question, state;  // have, have_mended, do_not_have, do_not_know
  std::int64_t systems = 0;
};
BOOST_DESCRIBE_STRUCT(ExposedAnswer, (), (question, state, systems))

// ---- down: entries --------------------------------------------------------------------------------------------------------------------

/// ["sender_ids"] to one municipality: its own Message-IDs of a sender notice, nothing of others.
struct SenderIds {
  std::string notice, sender;
  std::int64_t part = 1;
  std::int64_t from_us = 0, to_us = 0;
  std::vector<std::string> domains;      // own domains they went to
  std::vector<std::string> message_ids;  // new in this part, at most 900 (an entry holds 64 KiB)
  std::int64_t mails = 0;                // to this municipality so far
  std::vector<Sign> second_signs;        // what else is known; empty: none yet, no purge without a person
  bool takeover = false;                 // the sender's account shows a takeover sign of the last 48 h
  bool withdrawn = false;                // it was no attack: stop, undo is offered
};
BOOST_DESCRIBE_STRUCT(SenderIds, (),
                      (notice, sender, part, from_us, to_us, domains, message_ids, mails, second_signs, takeover,
                       withdrawn))

/// ["reveal"] to one municipality.
struct RevealRequest {
  std::string request, digest, reason;  // reason: candidate, suspicion
  std::int64_t epoch = 0, until_us = 0;
};
BOOST_DESCRIBE_STRUCT(RevealRequest, (), (request, digest, reason, epoch, until_us))

/// ["digest_key"] to one municipality: an epoch's key, sealed to its node by a steward (event/digest_key.hpp).
struct SealedKey {
  std::int64_t epoch = 0, from_us = 0, until_us = 0;  // a reserve: from 0, until is for how long from its arrival
  std::string sealed;                                 // base64 of crypto_box_seal
  std::string steward, signature;
  std::string node;       // "x25519:...": whom it is sealed to
  std::string check;      // 16 hex digits that are the same for the same key, and tell nothing else of it
  bool replaces = false;  // a reserve: every epoch below it ends when it arrives (a node was revoked)
};
BOOST_DESCRIBE_STRUCT(SealedKey, (), (epoch, from_us, until_us, sealed, steward, signature, node, check, replaces))

/// ["harmless"] up: mail domains that were learnt here as harmless bulk senders (aligned, known for 14 days). Down, to all: the list of those
/// that enough municipalities learnt; the whole list each time.
struct HarmlessDomain {
  std::string domain;
  std::int64_t since_us = 0;
  std::int64_t municipalities = 0;  // down: how many learnt it; up: 0
};
BOOST_DESCRIBE_STRUCT(HarmlessDomain, (), (domain, since_us, municipalities))
struct HarmlessList {
  std::int64_t version = 0;             // up: 0
  std::vector<HarmlessDomain> domains;  // at most 2,000
};
BOOST_DESCRIBE_STRUCT(HarmlessList, (), (version, domains))

/// ["digest_address"] up, of each municipality when it is new or changed: the node's X25519 address, to which stewards seal keys.
struct DigestAddress {
  std::string address;  // "x25519:..."
};
BOOST_DESCRIBE_STRUCT(DigestAddress, (), (address))

struct WarningText {
  std::string language, title, summary, for_employees;
  std::vector<std::string> do_now, reasons;  // advice, each with its reason (same length)
  std::string sms;                           // one line, at most 160 characters of GSM 03.38
};
BOOST_DESCRIBE_STRUCT(WarningText, (), (language, title, summary, for_employees, do_now, reasons, sms))

struct NamedObservable {
  std::string kind, value;
};
BOOST_DESCRIBE_STRUCT(NamedObservable, (), (kind, value))

/// ["warning"] to all or to some.
struct WarningEntry {
  std::string id, campaign;
  std::int64_t version = 1;
  std::string state;     // sent, updated, over, withdrawn
  std::string severity;  // low, medium, high, critical
  std::string tlp;       // clear, green, amber, amber_strict
  std::int64_t first_seen_us = 0, sent_us = 0;
  std::string from_domain;                // named by agreement; empty: not
  std::vector<NamedObservable> look_for;  // hunted back at once
  std::vector<std::string> notices;       // sender notices it is made of: what was purged for them counts for it
  std::vector<WarningText> texts;
  std::int64_t municipalities = 0, mails = 0;  // known so far
  bool lit_by_itself = false;                  // no person confirmed it yet
};
BOOST_DESCRIBE_STRUCT(WarningEntry, (),
                      (id, campaign, version, state, severity, tlp, first_seen_us, sent_us, from_domain, look_for,
                       notices, texts, municipalities, mails, lit_by_itself))

/// ["exposure_ask"] to all or to some: who runs this? (mission 4.6)
struct ExposureAsk {
  std::string id, product, versions, cve, why;  // versions: the vulnerable ones, in words
  std::string fixed_in;                         // in words; empty: no fix yet
  std::int64_t asked_us = 0, until_us = 0;
  bool withdrawn = false;
};
BOOST_DESCRIBE_STRUCT(ExposureAsk, (), (id, product, versions, cve, why, fixed_in, asked_us, until_us, withdrawn))

/// ["block"] One change of the block list. stage: which part of the members gets it now.
struct BlockChange {
  std::string id, kind, value;
  std::string action;  // watch, warn, hold, block; gone: it is withdrawn
  std::int64_t from_us = 0, until_us = 0;
  std::string reason, campaign;
  std::vector<std::string> by;  // persons
};
BOOST_DESCRIBE_STRUCT(BlockChange, (), (id, kind, value, action, from_us, until_us, reason, campaign, by))

/// ["block_ask"] to one municipality: what would this hit?
struct PreviewAsk {
  std::string preview, kind, value;
  std::int64_t days = 90;
};
BOOST_DESCRIBE_STRUCT(PreviewAsk, (), (preview, kind, value, days))

}  // namespace bavn::event
