#pragma once
// What a node notices things from: mail, sign-ins, changes of settings and signs of harm, the same shape whatever log told it.
// `notice` reads them from records (EventBatch) and feeds its state machines with them; simulations make them directly.
// Life: values. Addresses are canonical (observable.hpp, lower case), accounts are mail addresses (user principal names).
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace bavn::event {

/// Which log a fact comes from: what it can say, and how late it is, differ.
enum class FactSource : std::uint8_t {
  message_trace,  // sender, recipient, subject, Message-ID, status; no URL. Minutes late
  audit_log,      // who did what; 30-90 min late
  sign_in,        // minutes late
  directory_audit,
  defender,   // verdicts, URLs in mail, clicks; where licensed
  mail_copy,  // the mail itself: gateway, milter, journal copy. Seconds
  proxy,      // web proxy, DNS
  person,     // somebody reported it
};

struct FactHead {
  Instant happened, received;
  MunicipalityId municipality{};
  TenantId tenant{};
  FactSource source = FactSource::message_trace;
};

enum class Delivery : std::uint8_t { delivered, junk, quarantined, rejected, pending, expanded };

struct MailAttachment {
  std::string name, sha256;
  bool active = false;  // html, svg, archive, disk image, macro or link-bearing document, program
};

/// One mail to one recipient, or to several (`recipients`) when the source says so in one record.
struct MailFact {
  FactHead head;
  std::string sender;  // envelope or From address; empty: a bounce
  std::vector<std::string> recipients;
  std::string message_id, subject;
  Delivery delivery = Delivery::delivered;
  std::string session, app;                 // of who sent it, when known (audit log)
  std::vector<std::string> urls;            // canonical; empty also when the source cannot see them
  std::vector<MailAttachment> attachments;  // the same
  std::string body_simhash;                 // 16 hex digits; empty: not seen
  std::string signed_by;                    // aligned DKIM (or SPF) domain; empty: none or unknown
  std::string list_id;
  bool knows_content = false;  // urls and attachments were looked at
  bool automatic = false;      // Auto-Submitted, delivery and DMARC reports
  bool calendar = false;       // text/calendar
  bool failed_auth = false;    // DMARC failed
  bool login_form = false, qr_code = false;
};

struct SignInFact {
  FactHead head;
  std::string account, ip, asn, country, user_agent, device, session, app, app_name;
  bool interactive = true, success = true;
  bool device_code = false;  // signed in by device code
  std::string risk;          // none, low, medium, high; empty: not said
};

enum class Change : std::uint8_t {
  new_app,
  new_service_principal,
  new_secret,
  consent,
  app_role,
  inbox_rule,
  forwarding,
  mailbox_permission,
  new_mfa_method,
  new_device,
};
struct ChangeFact {
  FactHead head;
  Change change = Change::consent;
  std::string account;  // who did it
  std::string target;   // app id, mailbox, rule
  std::string detail;   // permissions, address forwarded to; for people
  std::string ip, session, app;
};

enum class Harm : std::uint8_t { click, reported, vendor_verdict, risk_alert, login_after_click };
struct HarmFact {
  FactHead head;
  Harm harm = Harm::reported;
  std::string account;                  // whose click, who reported, whose account is at risk
  std::string sender, message_id, url;  // what it is about, as far as known
  std::string detail;                   // vendor's words, at most 200 bytes
};

using Fact = std::variant<MailFact, SignInFact, ChangeFact, HarmFact>;
inline const FactHead& head_of(const Fact& f) {
  return std::visit([](const auto& x) -> const FactHead& { return x.head; }, f);
}

}  // namespace bavn::event
