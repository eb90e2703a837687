#pragma once
// The mailboxes of the made-up tenants: what was delivered, in which folder it is, and what Graph and Defender do with it. A move gives a
// mail a new id, as in Exchange; what was deleted softly lies in the recoverable items; Defender's remediation is accepted now and done later.
// Thread rules: as StandIn. Memory: every mail that was delivered.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "base/time.hpp"

namespace bavn::input::microsoft365::stand_in {

/// What a rehearsal delivers.
struct Delivered {
  std::string from, to, subject = "Faktura";
  std::string message_id = {};         // with <>; empty: made
  std::string folder = "inbox";        // an inbox rule may have put it elsewhere
  std::string answers = {};            // Message-ID it answers or forwards
  std::optional<Instant> at = {};      // empty: now
  std::optional<Duration> trace = {};  // until the trace shows it; empty: as the world does
};

class Mailboxes {
 public:
  struct Mail {
    std::string item, folder;  // folder by its well-known name
    std::string message_id, sender, subject, network_id, answers;
    Instant arrives{};
  };
  struct Box {
    std::vector<Mail> mails;
    bool hold = false;    // nothing leaves its recoverable items for good
    bool full = false;    // and no room is left in them
    bool closed = false;  // an access policy keeps applications out
  };

  void put(const std::string& user, Mail mail);
  Box& box(const std::string& user) { return boxes_[user]; }
  const std::map<std::string, Box>& boxes() const { return boxes_; }
  /// Mails in a folder of all mailboxes of a domain; "": in any but the recoverable items.
  std::size_t count(std::string_view domain, std::string_view folder, Instant now) const;

  /// Graph's opaque id of a folder, and the name behind an id or a well-known name; empty: no such folder.
  static std::string folder_id(std::string_view user, std::string_view folder);
  static std::string folder_named(std::string_view user, std::string_view id_or_name);

  Mail* find(const std::string& user, std::string_view item, Instant now);
  void move(Mail& mail, std::string_view folder);

  struct Remediation {
    Instant due{};
    std::string user, network_id, folder;
  };
  void later(Remediation r) { waiting_.push_back(std::move(r)); }
  void apply(Instant now);  // remediations whose time has come

 private:
  std::string next_item();
  std::map<std::string, Box> boxes_;
  std::vector<Remediation> waiting_;
  std::uint64_t items_ = 0;
};

}  // namespace bavn::input::microsoft365::stand_in
