#pragma once
// What a warning is about, as the app fills it from a campaign; and the words made of it. Every field may come from an attacker: what is not of
// its kind (a domain, a URL, a mail address) is left out, text loses everything but plain letters of one line.
// Life: values and plain functions. Thread rules: any thread.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "event/notices.hpp"

namespace bavn::warn {

class NeverBlock;

struct Case {
  std::string campaign;
  std::string trigger;            // sender_notice, takeover, burst, digest, person
  std::string severity = "high";  // low, medium, high, critical
  std::string tlp = "amber";      // clear, green, amber, amber_strict
  std::string from_domain;        // a member's, when the mail comes from one
  std::string from_address;       // the taken mailbox; hunted for and named under the same agreement as the domain
  bool may_be_named = false;      // agreed by that member
  bool lit_by_itself = false;     // no person confirmed it yet
  std::int64_t first_seen_us = 0;
  std::int64_t municipalities = 0, mails = 0, outside = 0,
               clicks = 0;  // known so far; outside: mails to nobody's member domain
  std::vector<event::NamedObservable> look_for;
  std::vector<event::Sign> signs;
  std::vector<std::string> subjects;      // only those that a person chose to share
  std::vector<std::string> shared_hosts;  // hosts in look_for that many strangers share: find_shared_hosts() fills it
  std::vector<std::string>
      behind_others;                 // hosts behind a content network (Cloudflare): their addresses are everybody's
  std::vector<std::string> notices;  // sender notices it is made of
  std::vector<MunicipalityId> to;    // empty: everybody
};
BOOST_DESCRIBE_STRUCT(Case, (),
                      (campaign, trigger, severity, tlp, from_domain, from_address, may_be_named, lit_by_itself,
                       first_seen_us, municipalities, mails, outside, clicks, look_for, signs, subjects, shared_hosts,
                       behind_others, notices, to))

/// A case as a file has it: JSON, everything may be left out but `severity` and what is looked for. Times as RFC 3339. See docs/warnings.md.
Result<Case> read_case(std::string_view json);

void find_shared_hosts(Case& c, const NeverBlock& never_block);

/// The case with everything that is not of its kind left out, lists cut to what an entry holds, look_for canonical and each once.
/// left_out: how many observables did not fit or could not be read.
struct Checked {
  Case c;
  std::size_t left_out = 0;
};
Result<Checked> checked(Case c);

/// What a person should do, each with its reason. Chosen by what the case is; the most useful first.
enum class Advice : std::uint8_t {
  purge,             // empty the mailboxes, the reporter's too
  look_for_clicks,   // who opened the link
  end_sessions,      // the login page took the session: a new password alone shuts nobody out
  apps,              // new applications, consents, secrets
  rules,             // inbox rules, forwarding
  device_code,       // signing in by device code
  block_path,        // this address on a shared host, never the host
  block_host,        // the host
  block_name,        // the name, not the IP address: it is behind a content network
  block_file,        // attachments by hash
  keep_domain,       // do not block the sender's whole domain
  call_known,        // talk to the sender by a number known before
  phone_payment,     // bank account or phone number in the mail: confirm by a known number
  qr_code,           // scanned with phones, outside our proxy
  report_not_delete  // tell the employees
};
std::vector<Advice> advice_for(const Case& c);

enum class Phase : std::uint8_t { sent, updated, over, withdrawn };
/// In da, nb and en. c: as checked() left it.
std::vector<event::WarningText> texts_of(const Catalogue& texts, const Case& c, Phase phase);

/// One text as people read it: for the command line, for mail. Plain text, lines of any length.
std::string printed(const Catalogue& texts, const event::WarningText& text);
/// What a node's answer says, one line.
std::string answer_line(const Catalogue& texts, Language language, const event::WarningAnswer& answer);

/// "fredag den 25. oktober kl. 8.00", in the zone of the language's country.
std::string day_and_time(const Catalogue& texts, Language language, Instant at);

/// One line that can do no harm: UTF-8, no control characters, no direction marks or invisible characters, no angle brackets, links made dead
/// ("hxxp"), at most `limit` characters; "…" where it was cut.
std::string harmless(std::string_view text, std::size_t limit);
/// The same for several lines of a person's own words, at most `limit` characters; at most one empty line in a row.
std::string harmless_lines(std::string_view text, std::size_t limit);
/// "bio[.]link/orbes": no program makes a link of it.
std::string defanged(std::string_view value);

}  // namespace bavn::warn
