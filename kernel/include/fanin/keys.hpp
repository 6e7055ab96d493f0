// Which stream a parameter draws from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/philox.hpp"

namespace fanin {

// The key of (version, seed, name, role), all text in UTF-8.
Key stream_key(std::uint64_t seed, const std::string_view* name, std::size_t parts, std::string_view role);

}  // namespace fanin
