# What makes faults harder to use, and a build the same wherever it is made.
# tests/it/test_27_hardening.py reads the result out of the binary.
include(CheckCCompilerFlag)

# A flag that this compiler or processor does not know is left out.
function(add_flag_if_known target flag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    target_compile_options(${target} INTERFACE ${flag})
  endif()
endfunction()

# Off: 5 % more instructions for each request, where all the others together cost 2 %.
option(CCP_ZERO_REGISTERS "functions wipe the registers that they used" OFF)

function(add_hardening target)
  foreach(flag -fstack-protector-strong -fstack-clash-protection)
    add_flag_if_known(${target} ${flag})
  endforeach()
  if(NOT CCP_SANITIZE MATCHES "memory") # there, a variable that nobody set is to be found
    add_flag_if_known(${target} -ftrivial-auto-var-init=zero)
  endif()
  if(CCP_ZERO_REGISTERS)
    add_flag_if_known(${target} -fzero-call-used-regs=used-gpr)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_flag_if_known(${target} -fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    add_flag_if_known(${target} -mbranch-protection=standard)
  endif()
  if(NOT CCP_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "Rel") # needs an optimising build
    target_compile_options(${target} INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  # Not -fPIC, which code for shared libraries needs and pays for.
  target_compile_options(${target} INTERFACE -fPIE)
  # Library functions are called through the table that -z now fills, without a stub in between.
  add_flag_if_known(${target} -fno-plt)
  # No path of the machine that builds: neither in messages nor in debug information.
  target_compile_options(${target} INTERFACE
    -ffile-prefix-map=${CMAKE_BINARY_DIR}=. -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
  target_link_options(${target} INTERFACE
    -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--build-id=sha1,--as-needed)
endfunction()
