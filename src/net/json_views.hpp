#pragma once
// Described structs as JSON and back: BOOST_DESCRIBE_STRUCT(AlertView, (), (id, at, title)) next to the struct is all it takes.
// Key order is the declared order. An empty optional is left out when written, and missing or null when read; every other member must
// be there. A member named `default_` is "default" in JSON. Errors carry the JSON Pointer in `where`.
// Members: bool, integers (range checked), double, std::string, described enums (by name), Tlp, Id<> (number), Instant and
// HappenedAt.. (RFC 3339), optional, vector, map<string, T>, described structs, RawJson.
// Include it in .cpp files. Thread rules: plain functions.
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/json_writer.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "event/tlp.hpp"
#include "net/json_value.hpp"

namespace bavn::net {

enum class Unknown : std::uint8_t { ignore, refuse };

/// JSON that is passed on as it is. Its writer vouches for it; read, it is any value.
struct RawJson {
  std::string text;
  friend bool operator==(const RawJson&, const RawJson&) = default;
};

namespace detail {

/// Where we are, from the root: only made into text when something is wrong.
struct At {
  const At* up = nullptr;
  std::string_view key{};
  std::size_t index = 0;  // when key is null
};
std::string pointer(const At* at);  // RFC 6901
Error wrong(const At* at, std::string_view what);
Error not_a(const At* at, std::string_view wanted, JsonValue got);
std::string_view json_name(const char* member);  // without one trailing underscore

template <class T>
concept Described = boost::describe::has_describe_members<T>::value;
template <class T>
concept DescribedEnum = std::is_enum_v<T> && boost::describe::has_describe_enumerators<T>::value;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class T, class L>
inline constexpr bool is_map<std::map<std::string, T, L>> = true;
template <class T>
inline constexpr bool is_id = false;
template <class Tag, class Rep>
inline constexpr bool is_id<Id<Tag, Rep>> = true;
template <class T>
concept Moment = requires(T m) {
  { m.t } -> std::same_as<Instant&>;
} && !Described<T>;

template <class... D, template <class...> class L, class F>
constexpr void each(L<D...>*, F&& f) {
  (f(D()), ...);
}
template <class T, class F>
void each_member(F&& f) {
  using Members = boost::describe::describe_members<T, static_cast<unsigned>(boost::describe::mod_public) |
                                                           static_cast<unsigned>(boost::describe::mod_inherited)>;
  each(static_cast<Members*>(nullptr), f);
}
template <class E, class F>
void each_enumerator(F&& f) {
  each(static_cast<boost::describe::describe_enumerators<E>*>(nullptr), f);
}

template <class T>
void write(JsonWriter& w, const T& v) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, double>) w.value(v);
  else if constexpr (std::same_as<T, float>) w.value(static_cast<double>(v));
  else if constexpr (std::signed_integral<T>) w.value(static_cast<std::int64_t>(v));
  else if constexpr (std::unsigned_integral<T>) w.value(static_cast<std::uint64_t>(v));
  else if constexpr (std::convertible_to<const T&, std::string_view>) w.value(std::string_view(v));
  else if constexpr (std::same_as<T, RawJson>) w.raw(v.text.empty() ? std::string_view("null") : v.text);
  else if constexpr (std::same_as<T, JsonValue>) w.raw(v.to_text());
  else if constexpr (std::same_as<T, Instant>) w.value(format_time(v));
  else if constexpr (std::same_as<T, event::Tlp>) w.value(event::to_string(v));
  else if constexpr (Moment<T>) w.value(format_time(v.t));
  else if constexpr (is_id<T>) write(w, v.value);
  else if constexpr (is_optional<T>) {
    if (v) write(w, *v);
    else w.null();
  } else if constexpr (is_vector<T>) {
    w.array();
    for (const auto& e : v) write<typename T::value_type>(w, e);
    w.end();
  } else if constexpr (is_map<T>) {
    w.object();
    for (const auto& [name, value] : v) write(w.key(name), value);
    w.end();
  } else if constexpr (DescribedEnum<T>) {
    std::string_view name = "?";
    each_enumerator<T>([&](auto d) {
      if (d.value == v) name = json_name(d.name);
    });
    w.value(name);
  } else {
    static_assert(Described<T>, "no JSON for this type: describe it with BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM");
    w.object();
    each_member<T>([&](auto d) {
      const auto& member = v.*d.pointer;
      if constexpr (is_optional<std::remove_cvref_t<decltype(member)>>)
        if (!member) return;
      write(w.key(json_name(d.name)), member);
    });
    w.end();
  }
}

template <class T>
std::optional<Error> read(JsonValue j, T& out, Unknown unknown, const At* at) {
  if constexpr (std::same_as<T, bool>) {
    const auto v = j.boolean();
    if (!v) return not_a(at, "true or false", j);
    out = *v;
  } else if constexpr (std::signed_integral<T>) {
    const auto v = j.integer();
    if (!v) return not_a(at, "an integer", j);
    if (!std::in_range<T>(*v)) return wrong(at, "the number is out of range");
    out = static_cast<T>(*v);
  } else if constexpr (std::unsigned_integral<T>) {
    const auto v = j.natural();
    if (!v) return not_a(at, "an integer that is not negative", j);
    if (!std::in_range<T>(*v)) return wrong(at, "the number is out of range");
    out = static_cast<T>(*v);
  } else if constexpr (std::floating_point<T>) {
    const auto v = j.number();
    if (!v) return not_a(at, "a number", j);
    out = static_cast<T>(*v);
  } else if constexpr (std::same_as<T, std::string>) {
    const auto v = j.text();
    if (!v) return not_a(at, "a string", j);
    out = *v;
  } else if constexpr (std::same_as<T, RawJson>) {
    out.text = j.to_text();
  } else if constexpr (std::same_as<T, Instant>) {
    const auto v = j.text() ? parse_time(*j.text()) : std::nullopt;
    if (!v) return not_a(at, "a time like 2024-10-01T12:00:00Z", j);
    out = *v;
  } else if constexpr (std::same_as<T, event::Tlp>) {
    const auto v = j.text() ? event::parse_tlp(*j.text()) : std::nullopt;
    if (!v) return not_a(at, "one of clear, green, amber, amber+strict, red", j);
    out = *v;
  } else if constexpr (Moment<T>) {
    return read(j, out.t, unknown, at);
  } else if constexpr (is_id<T>) {
    return read(j, out.value, unknown, at);
  } else if constexpr (is_optional<T>) {
    if (j.is_null()) out.reset();
    else return read(j, out.emplace(), unknown, at);
  } else if constexpr (is_vector<T>) {
    if (!j.is_array()) return not_a(at, "an array", j);
    out.clear();
    out.reserve(j.size());
    for (const JsonValue e : j) {
      const At here{at, {}, out.size()};
      typename T::value_type v{};
      if (auto error = read(e, v, unknown, &here)) return error;
      out.push_back(std::move(v));
    }
  } else if constexpr (is_map<T>) {
    if (!j.is_object()) return not_a(at, "an object", j);
    out.clear();
    for (const JsonValue m : j) {
      const At here{at, m.key().data() ? m.key() : std::string_view(""), 0};
      if (auto error = read(m, out[std::string(m.key())], unknown, &here)) return error;
    }
  } else if constexpr (DescribedEnum<T>) {
    bool found = false;
    std::string names;
    each_enumerator<T>([&](auto d) {
      if (!names.empty()) names += ", ";
      names += json_name(d.name);
      if (j.text() == json_name(d.name)) {
        out = d.value;
        found = true;
      }
    });
    if (!found) return not_a(at, "one of " + names, j);
  } else {
    static_assert(Described<T>, "no JSON for this type: describe it with BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM");
    if (!j.is_object()) return not_a(at, "an object", j);
    std::optional<Error> error;
    std::size_t known = 0;
    each_member<T>([&](auto d) {
      if (error) return;
      auto& member = out.*d.pointer;
      const std::string_view name = json_name(d.name);
      const JsonValue v = j[name];
      const At here{at, name, 0};
      if (v) {
        ++known;
        error = read(v, member, unknown, &here);
      } else if constexpr (is_optional<std::remove_cvref_t<decltype(member)>>) {
        member.reset();
      } else {
        error = wrong(&here, "this is missing");
      }
    });
    if (error) return error;
    if (unknown == Unknown::refuse && known < j.size())
      for (const JsonValue m : j) {
        bool is_known = false;
        each_member<T>([&](auto d) { is_known = is_known || json_name(d.name) == m.key(); });
        const At here{at, m.key(), 0};
        if (!is_known) return wrong(&here, "this member is not known here");
      }
  }
  return std::nullopt;
}

}  // namespace detail

template <class T>
void append_json(std::string& out, const T& value) {
  JsonWriter w(out);
  detail::write(w, value);
}

template <class T>
std::string to_json(const T& value) {
  std::string out;
  append_json(out, value);
  return out;
}

/// ignore: for what other programs send us as answers. refuse: for what we accept as commands and settings.
template <class T>
Result<T> from_json(JsonValue value, Unknown unknown) {
  T out{};
  if (auto error = detail::read(value, out, unknown, nullptr)) return std::unexpected(std::move(*error));
  return out;
}

template <class T>
Result<T> from_json(std::string_view text, Unknown unknown) {
  BAVN_TRY(const JsonDocument document, JsonDocument::parse(text));
  return from_json<T>(document.root(), unknown);
}

}  // namespace bavn::net
