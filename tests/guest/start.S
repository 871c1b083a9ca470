/* SPDX-License-Identifier: ISC */
/*
 * From a boot loader's 32-bit protected mode to C in ring 3, in as few ring-0
 * instructions as it takes: on a machine without hardware virtualisation each
 * of them is emulated. Tables that can be laid out at link time are.
 * Knows no memory map, no command line and no device; guest_main gets what the
 * loader said.
 *
 * Two ways in: multiboot 1 (eax = 0x2badb002, ebx = info) and PVH (ebx = start
 * info, found by the ELF note). Both reach guest_main(kind, info).
 */

#define MB_MAGIC	0x1badb002
#define MB_FLAGS	0x00000003	/* page-aligned, wants a memory map */
#define PVH_MAGIC	0x336ec578	/* also what start_info begins with */
#define XEN_PHYS32_ENTRY 18

#define SEL_KCODE	0x08
#define SEL_KDATA	0x10
#define SEL_UDATA	0x18
#define SEL_UCODE	0x20
#define SEL_TSS		0x28
#define RPL3		3

#define EFLAGS_USER	0x3002		/* IOPL 3, interrupts off for ever */

#define MSR_EFER	0xc0000080
#define MSR_KVM_CLOCK	0x4b564d01
#define CPUID_KVM	0x40000000
#define CPUID_KVM_FEAT	0x40000001
#define KVM_FEAT_CLOCK2	3		/* bit number */

#define TSS_LIMIT	(104 + 8192)
#define GATES		48		/* 32 exceptions, 16 interrupts */
#define STACK_BYTES	16384
#define MAPPED_GIB	12		/* 8 GiB of RAM and the hole below 4 GiB */

	.section .multiboot, "a"
	.balign	4
	.long	MB_MAGIC
	.long	MB_FLAGS
	.long	-(MB_MAGIC + MB_FLAGS)

	.section .note.pvh, "a", @note
	.balign	4
	.long	4			/* "Xen" and its NUL */
	.long	4
	.long	XEN_PHYS32_ENTRY
	.asciz	"Xen"
	.long	pvh_start

	.section .text.start, "ax"
	.code32
	.globl	multiboot_start
pvh_start:
	movl	$PVH_MAGIC, %eax
multiboot_start:
	cli
	cld
	movl	%eax, %edi		/* guest_main's arguments from here on */
	movl	%ebx, %esi

	movl	$tss, %eax		/* the base of a TSS lies in three places */
	movw	%ax, gdt + SEL_TSS + 2
	shrl	$16, %eax
	movb	%al, gdt + SEL_TSS + 4
	movb	%ah, gdt + SEL_TSS + 7
	lgdt	gdt_ptr

	movl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	$0x80000033, %eax	/* PG, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmpl	$SEL_KCODE, $long_mode

	.code64
long_mode:
	movl	$SEL_KDATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movq	$kernel_stack_top, %rsp
	movl	$SEL_TSS, %eax
	ltr	%ax
	call	idt_fill
	call	kvmclock_on

	pushq	$(SEL_UDATA | RPL3)
	pushq	$user_stack_top - 8	/* as if called: rsp is 8 off 16 */
	pushq	$EFLAGS_USER
	pushq	$(SEL_UCODE | RPL3)
	pushq	$guest_main
	iretq

/* Point every gate at its stub: exceptions, then the PIC's interrupts. */
idt_fill:
	movq	$idt, %rbx
	movq	$trap_stubs, %rdx
	movl	$GATES, %ecx
1:	movw	%dx, (%rbx)
	movw	$SEL_KCODE, 2(%rbx)
	movw	$0x8e00, 4(%rbx)	/* present interrupt gate */
	movq	%rdx, %rax
	shrq	$16, %rax
	movw	%ax, 6(%rbx)
	addq	$16, %rbx
	addq	$16, %rdx
	decl	%ecx
	jnz	1b
	lidt	idt_ptr
	ret

/*
 * Ask KVM for its clock page, if this is KVM and it offers one. CPUID is asked
 * here, in ring 0, where the hypervisor answers it; in ring 3 the host might.
 */
kvmclock_on:
	movl	$CPUID_KVM, %eax
	cpuid
	cmpl	$0x4b4d564b, %ebx	/* "KVMK" */
	jne	1f
	cmpl	$0x564b4d56, %ecx	/* "VMKV" */
	jne	1f
	movl	$CPUID_KVM_FEAT, %eax
	cpuid
	btl	$KVM_FEAT_CLOCK2, %eax
	jnc	1f
	movl	$kvmclock_page + 1, %eax /* bit 0: enable */
	xorl	%edx, %edx
	movl	$MSR_KVM_CLOCK, %ecx
kvmclock_wrmsr:
	wrmsr				/* a fault here is stepped over */
1:	ret

/* One stub of 16 bytes a vector: leave error code and vector on the stack. */
	.balign	16
trap_stubs:
	.set	vec, 0
	.rept	32
	.balign	16
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30)
	pushq	$0
	.endif
	pushq	$vec
	jmp	trap
	.set	vec, vec + 1
	.endr
	.rept	GATES - 32		/* waking up is all an interrupt is for */
	.balign	16
	iretq
	.endr

/*
 * HLT in ring 3 is a fault, and that is how ring 3 asks to sleep: a software
 * interrupt would not do where ring 0 is emulated.
 */
	.globl	cpu_halt
cpu_halt:
	hlt
	ret

/*
 * A refused kvmclock is stepped over; cpu_halt sleeps until an interrupt.
 * Anything else is a bug or a broken machine: note it, and let ring 3 say so.
 */
	.balign	16
trap:
	cmpq	$cpu_halt, 16(%rsp)
	jne	1f
	addq	$16, %rsp
	incq	(%rsp)			/* past the hlt */
	sti
	hlt
	cli
	iretq
1:	cmpq	$kvmclock_wrmsr, 16(%rsp)
	jne	1f
	addq	$16, %rsp
	addq	$2, (%rsp)
	iretq
1:	popq	trap_vector
	popq	trap_error
	movq	(%rsp), %rax
	movq	%rax, trap_rip
	movq	%cr2, %rax
	movq	%rax, trap_cr2
	pushq	$(SEL_UDATA | RPL3)
	pushq	$user_stack_top - 8
	pushq	$EFLAGS_USER
	pushq	$(SEL_UCODE | RPL3)
	pushq	$guest_trapped
	iretq

	.data
	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* ring 0 code, 64-bit */
	.quad	0x00cf93000000ffff	/* ring 0 data */
	.quad	0x00cff3000000ffff	/* ring 3 data */
	.quad	0x00affb000000ffff	/* ring 3 code, 64-bit */
	.quad	0x0000890000000000 + TSS_LIMIT, 0 /* base filled in above */
gdt_ptr:
	.word	gdt_ptr - gdt - 1
	.quad	gdt
	.balign	8
idt_ptr:
	.word	GATES * 16 - 1
	.quad	idt
	.balign	16
tss:
	.long	0
	.quad	kernel_stack_top	/* where a trap from ring 3 lands */
	.fill	22, 4, 0
	.word	0, io_bitmap - tss
io_bitmap:				/* every port allowed, as IOPL 3 does: */
	.fill	8192, 1, 0		/* KVM in software forgets IOPL */
	.byte	0xff
tss_end:

/* Everything mapped one to one, for ring 3, in 2 MiB pages. */
	.balign	4096
pml4:
	.quad	pdpt + 7
	.fill	511, 8, 0
pdpt:
	.set	i, 0
	.rept	MAPPED_GIB
	.quad	page_dirs + i * 4096 + 7
	.set	i, i + 1
	.endr
	.fill	512 - MAPPED_GIB, 8, 0
page_dirs:
	.set	i, 0
	.rept	MAPPED_GIB * 512
	.quad	i * 0x200000 + 0x87	/* present, writable, user, large */
	.set	i, i + 1
	.endr

	.bss
	.balign	4096
	.globl	kvmclock_page
kvmclock_page:
	.skip	4096
idt:
	.skip	GATES * 16
	.globl	trap_vector, trap_error, trap_rip, trap_cr2
trap_vector:	.skip 8
trap_error:	.skip 8
trap_rip:	.skip 8
trap_cr2:	.skip 8
	.balign	16
	.skip	4096
kernel_stack_top:
	.skip	STACK_BYTES
user_stack_top:

	.section .note.GNU-stack, "", @progbits
